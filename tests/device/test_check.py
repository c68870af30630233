"""The check for a GPU machine runs from end to end where there is none; only the GPU is missing."""

import json
import pathlib
import subprocess
import sys

import pytest

from tests.device import check, trainings
from tests.processes import ROOT


def run(folder: pathlib.Path, *flags: str) -> dict[str, dict[str, object]]:
    command = [sys.executable, "-m", "tests.device.check", f"--out={folder}", "--cpu", *flags]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "results.json").read_text())


def test_what_was_right_is_not_done_again_and_what_failed_is(tmp_path: pathlib.Path):
    before = {"digits": {"ok": True, "runs": {}}, "devices": {"ok": False}}
    (tmp_path / "results.json").write_text(json.dumps(before))
    found = run(tmp_path, "--only=devices,digits")
    assert found["digits"] == before["digits"]
    assert found["devices"]["ok"], found["devices"]
    assert found["devices"]["gpus"] == []


def test_no_check_begins_after_the_time_given(tmp_path: pathlib.Path):
    assert run(tmp_path, "--only=digits", "--seconds=-1").keys() == {"when"}


def test_the_peers_do_not_see_the_variables_of_tensorflow(tmp_path, monkeypatch):
    monkeypatch.setenv("LD_LIBRARY_PATH", "/nowhere")
    monkeypatch.setenv("XLA_FLAGS", "--x")
    check._plain_python(tmp_path / "bin" / "python")
    says = "import os; print(sorted(os.environ.keys() & {'LD_LIBRARY_PATH', 'XLA_FLAGS'}))"
    command = [str(tmp_path / "bin" / "python"), "-c", says]
    assert subprocess.check_output(command, text=True) == "[]\n"


def test_a_training_that_was_not_killed_is_no_proof(monkeypatch):
    ended = trainings.Run(0, 1.0, "done", {"state_digest": "a"})
    monkeypatch.setattr(trainings, "train", lambda *_, **__: ended)
    assert trainings.killed_and_resumed("cpu").digest == ""


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", ["digits", "modes", "two_gpus"])
def test_each_check_of_digests_holds_on_the_cpu(name: str, tmp_path: pathlib.Path):
    found = run(tmp_path, f"--only={name}")[name]
    assert found["ok"], found
