"""MLflow and Weights & Biases hold one run with every number once; needs `make .venv/trackers`."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.chaos.harness import Worker, ended
from tests.processes import ROOT, free_ports
from trainer.monitoring import trackers
from trainer.monitoring.metric_writer import keep_picture
from trainer.report.run_files import by_step, read_lines

FOLDER = Path(os.environ.get("LOCKSTEP_TRACKERS", ROOT / ".venv" / "trackers"))
ATTACHED = {"config.json", "summary.json", "metrics.jsonl", "pictures/confusion.png"}
KILLS = 10

pytestmark = pytest.mark.skipif(
    not FOLDER.exists(), reason="NOT SHOWN: make .venv/trackers installs MLflow and W&B"
)


@pytest.fixture(autouse=True)
def installed(monkeypatch, tmp_path: Path) -> None:
    """Let child processes find the clients, beside what this environment has."""
    (there,) = FOLDER.glob("lib/python*/site-packages")
    monkeypatch.setenv("PYTHONPATH", f"{there}{os.pathsep}{ROOT}")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.chdir(tmp_path)  # where MLflow keeps files that no server takes


def child(*command: str) -> subprocess.CompletedProcess:
    line = [sys.executable, "-m", *command]
    return subprocess.run(line, stdout=subprocess.PIPE, timeout=300, check=False)


def held(*where: str) -> list[dict]:
    return json.loads(child("tests.monitoring.tracked", *where).stdout)


def written(workdir: Path) -> dict[str, list[list[float]]]:
    """Return metric -> [[step, value], ...] as `metrics.jsonl` has them."""
    found: dict[str, list[list[float]]] = {}
    for step, line in by_step(read_lines(workdir / "metrics.jsonl")).items():
        for name, value in trackers.numbers(line).items():
            found.setdefault(name, []).append([step, value])
    return found


def check(held: list[dict], workdir: Path, digest: str) -> None:
    (one,) = held
    assert one["metrics"] == written(workdir)
    assert set(one["files"]) >= ATTACHED
    assert str(one["config"]["seed"]) == "0"
    assert digest in one["facts"].values()


def log(workdir: Path, steps: range) -> None:
    with (workdir / "metrics.jsonl").open("a") as file:
        for step in steps:
            line = {"step": step, "train/loss": step / 7, "digest": "ab", "eval/loss": None}
            file.write(json.dumps(line) + "\n")


@pytest.mark.parametrize(
    ("name", "how"), [("mlflow", "kill"), ("wandb", "kill"), ("wandb", "flush")]
)
def test_a_kill_doubles_and_loses_nothing(tmp_path: Path, name: str, how: str) -> None:
    workdir = tmp_path / "run"
    workdir.mkdir()
    (workdir / "config.json").write_text('{"seed": 0, "optimizer": {"name": "adam"}}')
    keep_picture(workdir / "pictures" / "confusion.png", np.zeros([4, 4, 3], np.uint8))
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    part = {"name": name, "args": {"tracking_uri": uri} if name == "mlflow" else {}}
    log(workdir, range(6))
    live = ("tests.monitoring.tracked_life", str(workdir), json.dumps(part))
    assert child(*live, "4", how).returncode == -9
    # As if it had been killed before it could note what was taken.
    noted = json.loads((workdir / trackers.NAME).read_text())
    (workdir / trackers.NAME).write_text(json.dumps({**noted, "sent": {}}))
    log(workdir, range(6, 9))
    assert child(*live, "5", "end").returncode == 0
    where = ("mlflow", uri, "Default") if name == "mlflow" else ("wandb", str(workdir))
    check(held(*where), workdir, "ab12")


def live(workdir: Path, *flags: str, failpoint: str = "") -> None:
    """Train to the end, or until it is killed."""
    with ended(Worker(workdir, *flags, failpoint=failpoint)) as worker:
        assert worker.wait(600) == (137 if failpoint else 0), worker.output


class Server:
    """A server of MLflow on SQLite."""

    def __init__(self, folder: Path) -> None:
        (port,) = free_ports(1)
        self.uri = f"http://127.0.0.1:{port}"
        folder.mkdir()
        self._command = ("mlflow", "server", "--host", "127.0.0.1", "--port", str(port),
                         "--workers", "1", "--backend-store-uri", f"sqlite:///{folder / 'db'}",
                         "--artifacts-destination", str(folder / "files"))  # fmt: skip
        self._log = folder / "log"
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *self._command],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + 400
        while True:
            try:
                urllib.request.urlopen(f"{self.uri}/health", timeout=5).read()
                return
            except OSError:
                assert self.process.poll() is None, self._log.read_text()
                assert time.monotonic() < deadline, self._log.read_text()
                time.sleep(0.5)

    def stop(self) -> None:
        if self.process:
            os.killpg(self.process.pid, 9)  # with its workers
            self.process.wait()


@pytest.fixture
def server(tmp_path: Path, installed: None) -> Iterator[Server]:
    made = Server(tmp_path / "server")
    try:
        yield made
    finally:
        made.stop()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_after_ten_kills_each_service_holds_one_run_equal_to_its_log(
    tmp_path: Path, server: Server
) -> None:
    workdir = tmp_path / "run"
    parts = [{"name": "mlflow", "args": {"tracking_uri": server.uri}}, {"name": "wandb"}]
    flags = (f"--config.trackers={json.dumps(parts)}",)
    for count in range(KILLS):
        if count == KILLS // 2:  # until here it is down, and nobody waits for it
            server.start()
        live(workdir, *flags, failpoint=f"loop.boundary:kill@{3 + count % 4}")
    for _ in range(9):  # what a loaded machine does not send in time, the same command sends
        live(workdir, *flags)
        if all(sent["is_complete"] for sent in trackers._read(workdir)["sent"].values()):
            break
    digest = json.loads((workdir / "summary.json").read_text())["state_digest"]
    check(held("mlflow", server.uri, "Default"), workdir, digest)
    check(held("wandb", str(workdir)), workdir, digest)
