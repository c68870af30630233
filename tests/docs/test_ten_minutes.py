"""The page of the first ten minutes is a script: it runs as it stands."""

import json
import pathlib

import pytest

from benchmarks import first_minutes
from tests.docs import pages


@pytest.mark.slow
def test_the_page_leads_from_a_clean_folder_to_a_job(tmp_path: pathlib.Path) -> None:
    typed = pages.environment(tmp_path)
    commands = list(first_minutes.follow(first_minutes.PAGE, tmp_path, typed))
    assert len(commands) > 10

    def state(run: str) -> str:
        summary = json.loads((tmp_path / "runs" / run / "summary.json").read_text())
        return str(summary["state_digest"])

    assert state("spirals") == state("spirals_two")
    assert state("smooth") == state("job")
