"""Real trainer processes that are killed, frozen, filled up and told to stop."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.processes import ROOT, free_ports
from trainer.failpoints import VARIABLE

TINY = ("--config=tests/chaos/tiny.py",)
STEPS = 60
SAVE_EVERY = 6
LONG_STEPS = 6000
LONG_SAVE_EVERY = 100
LONG = (f"--config.train_steps={LONG_STEPS}", f"--config.checkpoint_every_steps={LONG_SAVE_EVERY}",
        "--config.log_every_steps=10", "--config.eval_every_steps=1500")  # fmt: skip
TIMED = ("examples_per_second", "time/", "goodput", "seconds/")
ENDLESS = ("--config.train_steps=100000", "--config.eval_every_steps=100000")


class Worker:
    """One trainer process; its output goes to a file."""

    def __init__(
        self,
        workdir: Path,
        *args: str,
        failpoint: str = "",
        sabotage: str = "",
        cluster: Sequence[str] = (),
        index: int = 0,
    ) -> None:
        self.log = workdir.parent / f"{workdir.name}-{time.monotonic_ns()}-{index}.log"
        module = ("tests.chaos.sabotaged", sabotage) if sabotage else ("trainer",)
        env = {k: v for k, v in os.environ.items() if k not in ("TF_CONFIG", VARIABLE)}
        env["TF_CPP_MIN_LOG_LEVEL"] = "2"
        if failpoint:
            env[VARIABLE] = failpoint
        if cluster:
            task = {"type": "worker", "index": index}
            env["TF_CONFIG"] = json.dumps({"cluster": {"worker": list(cluster)}, "task": task})
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *module, f"--workdir={workdir}", *TINY, *args],
                cwd=ROOT,
                env=env,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def last_line(self) -> str:
        return self.output.strip().splitlines()[-1]

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, secs: float = 120) -> int:
        """Return the exit code in shell terms."""
        code = self.process.wait(secs)
        return 128 - code if code < 0 else code

    def wait_for(self, text: str, secs: float = 120) -> None:
        """Wait until the output holds `text`."""
        deadline = time.monotonic() + secs
        while text not in self.output:
            assert self.process.poll() is None, f"ended before {text!r}: {self.output}"
            assert time.monotonic() < deadline, f"no {text!r}: {self.output}"
            time.sleep(0.02)

    def wait_while_starting(self, secs: float) -> None:
        """Wait that long, but not into the training of a process that starts quickly."""
        deadline = time.monotonic() + secs
        while time.monotonic() < deadline and " step " not in self.output:
            time.sleep(0.02)


@contextlib.contextmanager
def pair(
    workdir: Path, *args: str, failpoints: Sequence[str] = ("", ""), sabotage: str = ""
) -> Iterator[list[Worker]]:
    """Run two workers of one run."""
    cluster = [f"localhost:{port}" for port in free_ports(2)]
    workers = [
        Worker(workdir, *args, failpoint=failpoints[i], sabotage=sabotage, cluster=cluster, index=i)
        for i in (0, 1)
    ]
    try:
        yield workers
    finally:
        for worker in workers:
            worker.process.kill()
            worker.process.wait()


@contextlib.contextmanager
def ended(worker: Worker) -> Iterator[Worker]:
    """Leave no process behind, however the check of it ends."""
    try:
        yield worker
    finally:
        worker.process.kill()
        worker.process.wait()


def run(workdir: Path, *args: str, **options: str) -> Worker:
    """Run one process to its end."""
    with ended(Worker(workdir, *args, **options)) as worker:
        worker.wait()
    return worker


def finish(workdir: Path, *args: str, **options: str) -> str:
    """Run to the end of training; return the digest."""
    worker = run(workdir, *args, **options)
    assert worker.wait() == 0, worker.output
    return json.loads((workdir / "summary.json").read_text())["state_digest"]


@contextlib.contextmanager
def must_fail() -> Iterator[None]:
    """Pass only if the check inside fails, and not because the planted bug could not be loaded."""
    with pytest.raises((AssertionError, OSError, subprocess.TimeoutExpired)) as raised:
        yield
    for mistake in ("ImportError", "ModuleNotFoundError", "NameError", "TypeError"):
        assert mistake not in str(raised.value)


def saved_steps(workdir: Path) -> list[int]:
    """Return the steps of the committed checkpoints."""
    folders = (workdir / "checkpoints").glob("step_*")
    return sorted(int(p.name.removeprefix("step_")) for p in folders)


def logged_steps(workdir: Path, prefix: str) -> list[int]:
    """Return the steps of the lines of metrics.jsonl that hold such a metric."""
    lines = map(json.loads, (workdir / "metrics.jsonl").read_text().splitlines())
    return [line["step"] for line in lines if any(key.startswith(prefix) for key in line)]


def metric_lines(workdir: Path) -> list[dict[str, float]]:
    """Return the lines of metrics.jsonl as numbers, but for what was measured with a clock."""
    lines = map(json.loads, (workdir / "metrics.jsonl").read_text().splitlines())
    kept = [{k: v for k, v in line.items() if not k.startswith(TIMED)} for line in lines]
    return [line for line in kept if line.keys() != {"step"}]


def processes_of(workdir: Path) -> list[str]:
    """Return the command lines of the processes that name this workdir."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            found.append(path.read_text())
    return [command for command in found if str(workdir) in command]


def audit(log: Path) -> list[str]:
    """Return the lines of an example log, each once, in order of step and microbatch."""
    return sorted(set(log.read_text().splitlines()))
