"""Runs the trainer as its users do: as processes."""

import dataclasses
import json
import os
import pathlib
import socket
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

ROOT = pathlib.Path(__file__).parent.parent
SHORT = ("--config.train_steps=12", "--config.log_every_steps=5", "--config.eval_every_steps=7")


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a process ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def last_line(self) -> str:
        lines = self.stderr.strip().splitlines()
        return lines[-1] if lines else ""


def trainer(
    *args: str,
    environment: dict[str, str] | None = None,
    timeout: int = 300,
    module: Sequence[str] = ("trainer",),
) -> Ended:
    """Run `python -m trainer` to its end."""
    done = subprocess.run(
        [sys.executable, "-m", *module, *args],
        cwd=ROOT,
        env={**_environment(), **(environment or {})},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def summary(workdir: pathlib.Path, *args: str, workers: int = 1) -> dict[str, Any]:
    """Train in `workdir` with one or more worker processes; return its summary."""
    if workers == 1:
        ended = trainer(f"--workdir={workdir}", *args)
        assert ended.code == 0, ended.stderr
    else:
        for worker, ended in enumerate(cluster(workers, [f"--workdir={workdir}", *args])):
            assert ended.code == 0, f"worker {worker}: {ended.stderr}"
    return json.loads((workdir / "summary.json").read_text())


def cluster(
    workers: int, args: Sequence[str], timeout: int = 300, module: str = "trainer"
) -> list[Ended]:
    """Run one process for each worker, on free ports of this machine."""
    addresses = [f"localhost:{port}" for port in free_ports(workers)]
    started = []
    for index in range(workers):
        task = {"type": "worker", "index": index}
        description = json.dumps({"cluster": {"worker": addresses}, "task": task})
        started.append(
            subprocess.Popen(
                [sys.executable, "-m", module, *args],
                cwd=ROOT,
                env={**_environment(), "TF_CONFIG": description},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    try:
        outputs = [process.communicate(timeout=timeout) for process in started]
    finally:
        for process in started:
            process.kill()
    return [Ended(p.returncode, *out) for p, out in zip(started, outputs, strict=True)]


def free_ports(count: int) -> list[int]:
    """Return ports that nothing listens on."""
    sockets = [socket.create_server(("localhost", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def _environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k != "TF_CONFIG"} | {"TF_CPP_MIN_LOG_LEVEL": "2"}
