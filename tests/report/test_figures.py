"""The worked examples reach what their docstrings, the docs and the table of examples say."""

import importlib
import pathlib
import re

import pytest

from tests.golden import record
from tests.processes import ROOT, trainer
from trainer import version
from trainer.config import experiment_file

STATES = {
    name: found[1]
    for name in experiment_file.names()
    if (found := re.search(r"\bstate\s+([0-9a-f]{16})", importlib.import_module(
        f"trainer.configs.{name}").__doc__ or ""))
}  # fmt: skip
NOT_RUN = {"imagenet_resnet50", "mnist"}
TABLE = (ROOT / "docs" / "guide" / "examples.md").read_text()


def test_every_example_has_its_digest_and_its_row() -> None:
    assert set(STATES) == set(experiment_file.names()) - NOT_RUN
    for name in experiment_file.names():
        assert f"| `{name}` |" in TABLE


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(
    version.kind_of_cpu() != record.KIND_OF_PAGES,
    reason=f"the digests are those of another CPU: {record.KIND_OF_PAGES}",
)
@pytest.mark.parametrize("name", STATES)
def test_it_ends_with_the_digest_of_its_docstring(name: str, tmp_path: pathlib.Path) -> None:
    ended = trainer(f"--config={name}", f"--workdir={tmp_path}", timeout=1000)
    assert ended.stdout.rstrip().endswith(f"state {STATES[name]}"), ended.stderr
