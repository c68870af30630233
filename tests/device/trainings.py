"""Short trainings as processes, on the GPU or the CPU of this machine."""

import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import Any

ROOT = pathlib.Path(__file__).parent.parent.parent
STRATEGIES = {"gpu": "mirrored", "cpu": "cpu", "auto": "auto"}
SHORT = {"train_steps": "94", "checkpoint_every_steps": "20", "log_every_steps": "47"}
_SECS = {"gpu": 120, "auto": 120, "cpu": 300}
"""Longest that a training may take; time beside a GPU is dear."""


@dataclasses.dataclass(frozen=True)
class Run:
    """How a training ended.

    Attributes:
        code: of the process; negative: the signal that ended it.
        seconds: from start to end.
        last_line: of what it said, on stderr if it failed.
        summary: its `summary.json`; empty where it has none.
    """

    code: int
    seconds: float
    last_line: str
    summary: Mapping[str, Any]

    @property
    def digest(self) -> str:
        return str(self.summary.get("state_digest", ""))

    @property
    def loss(self) -> float | None:
        return self.summary.get("eval", {}).get("loss")

    @property
    def replicas(self) -> int:
        return int(self.summary.get("replicas", 0))

    def shown(self) -> dict[str, Any]:
        """Return what is written down of it."""
        found = {"code": self.code, "digest": self.digest[:16], "loss": self.loss}
        return {**found, "seconds": round(self.seconds, 1), "last_line": self.last_line}


def train(
    place: str,
    options: Mapping[str, str] | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    workdir: str = "",
    module: str = "trainer",
    flags: Sequence[str] = (),
) -> Run:
    """Train the digits for two epochs.

    Args:
        place: "gpu", "cpu" or "auto".
        options: fields of the config.
        environment: variables that differ from those of this process.
        workdir: a folder that is left behind; empty: one of its own.
        module: what Python runs.
        flags: further flags.
    """
    if not workdir:
        with tempfile.TemporaryDirectory() as folder:
            return train(
                place, options, environment=environment, workdir=folder, module=module, flags=flags
            )
    fields = [f"--config.{name}={value}" for name, value in {**SHORT, **(options or {})}.items()]
    strategy = f"--strategy={STRATEGIES[place]}"
    command = [sys.executable, "-m", module, "--config=digits", strategy, f"--workdir={workdir}"]
    began = time.monotonic()
    process = subprocess.Popen(
        [*command, *fields, *flags],
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=_SECS[place])
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
    lines = (err if process.returncode else out).strip().splitlines()
    file = pathlib.Path(workdir) / "summary.json"
    summary = json.loads(file.read_text()) if file.exists() else {}
    seconds = time.monotonic() - began
    return Run(process.returncode, seconds, lines[-1][-300:] if lines else "", summary)


def killed_and_resumed(place: str) -> Run:
    """Kill a training after its third save, and start it again."""
    with tempfile.TemporaryDirectory() as folder:
        failpoint = {"LOCKSTEP_FAILPOINT": "checkpoint.after_rename:kill@3"}
        killed = train(place, environment=failpoint, workdir=folder)
        if killed.code != -signal.SIGKILL:
            return dataclasses.replace(killed, summary={}, last_line=f"not killed: {killed}")
        return train(place, workdir=folder)


def on_two(place: str, options: Mapping[str, str]) -> Run:
    """Train on two logical devices of one: the card is split, or the CPU."""
    if place == "cpu":
        return train(place, options, flags=["--cpu_replicas=2"])
    return train(place, options, module="tests.device.split_gpu")


def with_broken(library: str) -> Run:
    """Train where a CUDA library is found first that is none."""
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / library).write_bytes(b"\x7fELF" + bytes(60))
        paths = [folder, *filter(None, [os.environ.get("LD_LIBRARY_PATH")])]
        return train("gpu", environment={"LD_LIBRARY_PATH": ":".join(paths)})
