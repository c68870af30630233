"""What the flags of `logs`, `lint`, `doctor` and of a cluster ask for happens."""

import json
import os
from pathlib import Path

import pytest
from command_line import RENDER, TRAINER
from fake_cluster import spec

from launch.__main__ import main


def test_the_context_of_the_kubeconfig_is_the_one_that_was_asked_for(cluster_backend, api, capsys):
    cluster_backend.submit(spec())
    path = Path(os.environ["KUBECONFIG"])
    config = json.loads(path.read_text())
    nowhere = {"name": "away", "cluster": {"server": "http://127.0.0.1:1"}}
    config["clusters"].append(nowhere)
    config["contexts"].append({"name": "away", "context": {"cluster": "away", "user": "me"}})
    config["current-context"] = "away"
    path.write_text(json.dumps(config))
    assert main(["list", "--backend=kubernetes", "--context=fake"]) == 0
    assert "cpu-smoke" in capsys.readouterr().out


def test_jobs_are_looked_for_in_the_namespace_that_was_asked_for(api, capsys):
    assert main(["list", "--backend=kubernetes", "--namespace=team"]) == 0
    paths = [path for _, path, _ in api.requests if "/namespaces/" in path]
    assert paths
    assert all("/namespaces/team/" in path for path in paths)


def test_schemas_are_left_out_where_that_is_asked(capsys, tmp_path):
    assert main([*RENDER, *TRAINER]) == 0
    path = tmp_path / "job.yaml"
    path.write_text(capsys.readouterr().out.replace("completions: 1", "completions: one"))
    assert main(["lint", str(path)]) == 1
    assert "completions" in capsys.readouterr().out
    assert main(["lint", "--noschemas", str(path)]) == 0


def test_doctor_looks_for_the_paths_that_were_asked_for(capsys, tmp_path):
    flags = [f"--state_dir={tmp_path / 'state'}", f"--path={tmp_path}", "--path=/no/such"]
    assert main(["doctor", *flags]) == 1
    said = capsys.readouterr().out
    assert f"ok    path {tmp_path}: exists" in said
    assert "FAIL  path /no/such: does not exist" in said


@pytest.fixture
def failing(backend, job, tmp_path):
    """The state folder of a job of two workers of which the second fails."""
    script = ("0@*:print=first", "1@*:print=second", "1@*:exit=78")
    backend.submit(job("pair", *script, workers=2))
    return f"--state_dir={tmp_path / 'state'}"


def test_logs_are_followed_to_the_end_where_that_is_asked(failing, capsys):
    assert main(["logs", failing, "--follow", "pair"]) == 1
    assert "[worker 1] second" in capsys.readouterr().out


def test_logs_are_those_of_the_worker_that_was_asked_for(failing, capsys):
    assert main(["wait", failing, "pair"]) == 1
    capsys.readouterr()
    assert main(["logs", failing, "--worker=1", "pair"]) == 0
    said = capsys.readouterr().out
    assert "second" in said
    assert "first" not in said
