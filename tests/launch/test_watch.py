"""What is seen of a job while it runs: its progress, its curves, the stacks of its workers."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import fsspec
import pytest
from fake_cluster import JOBS, pod, put, running, spec
from local_jobs import until_running

from launch.cli import watch
from launch.cli.main import main
from tests.processes import ROOT, free_ports

CLUSTER = "--backend=kubernetes"
LINES = [
    {"step": 5, "train/loss": 1.0, "examples_per_second": 90.0, "epoch": 0.1},
    {"step": 10, "eval/loss": 1.0},
    {"step": 10, "train/loss": 1.0, "examples_per_second": 100.0, "epoch": 0.2},
]
LIVES = [{"started": 0, "ended": 40, "first_step": 0, "last_step": 10, "seconds": {"step": 30}}]
FILES = {
    "config.json": json.dumps({"train_steps": 60, "global_batch_size": 32}),
    "metrics.jsonl": "".join(f"{json.dumps(line)}\n" for line in LINES) + '{"step": 11',
    "goodput.json": json.dumps(LIVES),
}


@pytest.fixture
def state(tmp_path: Path) -> str:
    return f"--state_dir={tmp_path / 'state'}"


@pytest.fixture
def bucket():
    """The workdir of a run in a bucket."""
    url = "memory://watched/run"
    for name, text in {**FILES, "tensorboard/events": "curves"}.items():
        fsspec.filesystem("memory").pipe_file(f"{url}/{name}", text.encode())
    yield url
    fsspec.filesystem("memory").rm("/watched", recursive=True)


def submit(cluster_backend, api, workdir: str) -> None:
    cluster_backend.submit(spec())
    (container,) = api.objects[f"{JOBS}/cpu-smoke"]["spec"]["template"]["spec"]["containers"]
    container["args"] = ["--config=digits", f"--workdir={workdir}"]


def fill(folder: Path, **changed: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in {**FILES, **changed}.items():
        (folder / name).write_text(text)


@pytest.fixture
def asleep(backend, job):
    """A job of two workers that sleep; the second offers no stacks."""
    backend.submit(job("job", "0@*:stacks", "*@*:sleep", workers=2))
    until_running(backend, "job", 2)
    deadline = time.monotonic() + 60
    while main(["attach", f"--state_dir={backend._root}", "job"]):
        assert time.monotonic() < deadline
    yield backend
    backend.cancel("job")
    backend.follow("job", [].append)


def test_attach_prints_the_stacks_and_the_worker_goes_on(asleep, state, capfd):
    capfd.readouterr()
    assert main(["attach", state, "job", "--worker=0"]) == 0
    told = capfd.readouterr().out
    assert "standin_worker.py" in told
    assert "in act" in told
    assert told.count("most recent call first") == 1  # nothing of the time before
    assert main(["attach", state, "job", "--worker=1"]) == 1
    assert "offers no stacks" in capfd.readouterr().err
    assert main(["attach", state, "job", "--worker=2"]) == 64
    assert asleep.status("job").detail.startswith("2 of 2")


def test_attach_opens_a_shell_beside_the_worker(asleep, state, tmp_path, monkeypatch, capfd):
    shell = tmp_path / "shell"
    shell.write_text("#!/bin/sh\necho worker $JOB_COMPLETION_INDEX in $PWD\n")
    shell.chmod(0o755)
    monkeypatch.setenv("SHELL", str(shell))
    assert main(["attach", state, "job", "--worker=1", "--shell"]) == 0
    assert f"worker 1 in {tmp_path}" in capfd.readouterr().out


def test_attach_says_who_does_not_run(backend, job, state, capsys):
    backend.submit(job("job", "*@*:exit=0"))
    backend.follow("job", [].append)
    assert main(["attach", state, "job"]) == 64
    assert "worker 0 of job does not run" in capsys.readouterr().err


@pytest.fixture
def kubectl(tmp_path: Path, monkeypatch) -> None:
    """A stand-in that says with what it was called."""
    program = tmp_path / "bin" / "kubectl"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "kubectl $*"\nexit 3\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")


def test_attach_goes_through_kubectl_on_a_cluster(cluster_backend, api, kubectl, capfd):
    cluster_backend.submit(spec())
    put(api, pod(1, "Failed", terminated={"exitCode": 1}))
    put(api, running(0))
    argv = ["attach", CLUSTER, "--context=fake", "cpu-smoke"]
    inside = "--namespace=lockstep exec {}cpu-smoke-0-eeeee -c trainer -- {}"
    for flags, there in (
        ([], inside.format("", "python -m common.stacks")),
        (["--shell"], inside.format("-it ", "sh")),
    ):
        assert main([*argv, *flags]) == 3
        assert capfd.readouterr().out == f"kubectl --context=fake {there}\n"
    assert main([*argv, "--worker=1"]) == 64
    assert "no pod of worker 1 runs" in capfd.readouterr().err


def test_attach_on_a_cluster_needs_kubectl(cluster_backend, api, monkeypatch, capsys):
    cluster_backend.submit(spec())
    put(api, running(0))
    monkeypatch.setenv("PATH", "")
    assert main(["attach", CLUSTER, "cpu-smoke"]) == 64
    assert "attach needs kubectl" in capsys.readouterr().err


@pytest.fixture
def there(cluster_backend, api, bucket) -> None:
    """A job on the cluster."""
    submit(cluster_backend, api, bucket)


def test_top_shows_jobs_here_and_on_the_cluster(there, asleep, state, tmp_path, capsys):
    fill(tmp_path / "runs" / "job")
    capsys.readouterr()
    assert main(["top", state]) == 0
    here, there = capsys.readouterr().out.splitlines()[1:]
    assert here.split() == ["job", "running", "10/60", "100", "16", "s", "75%"]
    assert there.split()[0] == "cpu-smoke"
    assert "10/60" in there
    assert main(["top", state, "--output=json", CLUSTER]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["run"], row["step"], row["goodput"]) == ("cpu-smoke", 10, 0.75)


def test_top_says_what_it_cannot_read(cluster_backend, api, state, capsys):
    submit(cluster_backend, api, "/data/run")
    assert main(["top", state]) == 0
    assert "/data/run/config.json lies on a volume of the cluster" in capsys.readouterr().out


def test_top_does_without_a_cluster(backend, state, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    assert main(["top", state]) == 0
    assert "no cluster" in capsys.readouterr().err


def test_top_has_a_row_for_each_trial(backend, job, state, tmp_path, capsys):
    trials = tuple((f"--workdir=runs/rates/{index}",) for index in range(2))
    backend.submit(job("rates", "*@*:exit=0", trials=trials))
    backend.follow("rates", [].append)
    fill(tmp_path / "runs" / "rates" / "0", **{"config.json": '{"epochs": 3.0}'})
    assert main(["top", state, "--backend=local"]) == 0
    first, second = capsys.readouterr().out.splitlines()[1:]
    assert first.split() == ["rates/0", "succeeded", "10/150", "100", "-", "75%"]
    assert second.startswith("rates/1")
    assert "config.json" in second


def test_curves_in_a_bucket_are_copied_here(cluster_backend, api, bucket, monkeypatch):
    submit(cluster_backend, api, bucket)

    def run(command) -> int:
        folder = Path(command.words[command.words.index("--logdir") + 1])
        assert (folder / "events").read_text() == "curves"
        monkeypatch.setattr(watch, "_COPY_SECS", 0.0)
        return 0

    monkeypatch.setattr(watch, "_run", run)
    assert main(["tensorboard", CLUSTER, "cpu-smoke"]) == 0


def test_curves_on_a_volume_are_refused(cluster_backend, api, capsys):
    submit(cluster_backend, api, "/data/run")
    assert main(["tensorboard", CLUSTER, "cpu-smoke"]) == 64
    assert "/data/run lies on a volume of the cluster" in capsys.readouterr().err


@pytest.mark.slow
def test_tensorboard_shows_the_curves_of_a_job(backend, job, state, tmp_path):
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    backend.submit(job("job", "*@*:exit=0"))
    backend.follow("job", [].append)
    writer = EventFileWriter(str(tmp_path / "runs" / "job" / "tensorboard"))
    writer.add_event(Event(step=1, wall_time=1.0))
    writer.close()
    (port,) = free_ports(1)
    words = [sys.executable, "-m", "launch", "tensorboard", state, f"--port={port}", "job"]
    here = {**os.environ, "PYTHONPATH": str(ROOT)}
    shown = subprocess.Popen(words, env=here, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        deadline = time.monotonic() + 300
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/data/runs") as answer:
                    if json.load(answer) == ["."]:
                        break
            except OSError:
                assert shown.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.5)
    finally:
        os.killpg(shown.pid, 2)
        assert shown.wait(60) == 0
