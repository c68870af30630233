"""The page of the first ten minutes is a script: it runs as it stands."""

import json
import os
import pathlib

import pytest

from benchmarks import first_minutes
from tests.processes import ROOT


@pytest.mark.slow
def test_the_page_leads_from_a_clean_folder_to_a_job(tmp_path: pathlib.Path) -> None:
    path = f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    environment["XDG_STATE_HOME"] = str(tmp_path / "state")  # of local jobs
    commands = list(first_minutes.follow(first_minutes.PAGE, tmp_path, environment))
    assert len(commands) > 10

    def state(run: str) -> str:
        summary = json.loads((tmp_path / "runs" / run / "summary.json").read_text())
        return str(summary["state_digest"])

    assert state("spirals") == state("spirals_two")
    assert state("smooth") == state("job")
