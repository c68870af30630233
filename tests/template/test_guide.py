"""The pages say what is so: their code is that of the sources, their figures those of the configs.

Their commands are run by tests/docs/test_every_command.py.
"""

import re

import pytest

from tests.docs import pages
from tests.processes import ROOT

GUIDE = [page for page in pages.PAGES if page.parent.name == "guide"]
RUN_AS_THEY_STAND = ("first_minutes", "notebook", "ten_minutes")
FROM_THE_SOURCES = [page for page in GUIDE if page.stem not in RUN_AS_THEY_STAND]


@pytest.mark.parametrize("page", pages.PAGES, ids=lambda p: p.stem)
def test_every_link_leads_somewhere(page) -> None:
    for target in re.findall(r"(?:\]\(|src=\")((?!http|#)[^)\"#\s]+)", page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", FROM_THE_SOURCES, ids=lambda p: p.stem)
def test_every_line_of_a_step_is_in_the_sources(page) -> None:
    tested = [ROOT / "tests" / "parts" / "users.py", *(ROOT / "tests" / "lineage").glob("*.py")]
    run = [*(ROOT / "trainer").rglob("*.py"), *tested]
    sources = "".join(path.read_text() for path in run)
    for block in pages.blocks(page, "python"):
        assert block in sources, block


def test_states_in_the_guide_are_those_of_the_configs() -> None:
    worked = 0
    for page in GUIDE:
        (config,) = re.findall(r"--config=(\w+) --workdir", page.read_text()) or [None]
        if config and page.stem not in ("distribution", "tpu", "notebook"):
            worked += 1
            state = re.search(r"state\s+([0-9a-f]{16})", configs_text(config))
            assert state, config
            assert state[1] in page.read_text()
    assert worked >= 7


def configs_text(name: str) -> str:
    return (ROOT / "trainer" / "configs" / f"{name}.py").read_text()
