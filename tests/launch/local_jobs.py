"""What tests of local jobs share: waiting for an end, for a start, for a process."""

import time
from pathlib import Path

from common import processes
from launch.local.backend import LocalBackend


def finish(backend: LocalBackend, name: str, lines: list[str] | None = None):
    out = [].append if lines is None else lines.append
    return backend.follow(name, out, until=time.monotonic() + 30)


def until_running(backend: LocalBackend, name: str, count: int) -> None:
    """Waits until `count` stand-ins listen to signals and the backend says that they run."""
    deadline = time.monotonic() + 15
    ready = Path("runs") / name
    while len(list(ready.glob("started-*"))) < count or not (
        backend.status(name).detail.startswith(f"{count} of")
    ):
        assert time.monotonic() < deadline, backend.status(name)
        time.sleep(0.05)


def is_over(pid: int) -> bool:
    """Whether a process has ended; its parent may not have asked for it yet."""
    return processes.state(pid) in ("Z", "")


def until_over(pid: int) -> None:
    deadline = time.monotonic() + 10
    while not is_over(pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)
