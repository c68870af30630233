"""The programs of one run of a cluster, in the background: started, and ended by their numbers."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

_SHIM = b"containerd-shim"


def start(state: Path, name: str, *command: str) -> int:
    """Starts a program that outlives this one; its log and its number are files of `state`."""
    with (state / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    (state / f"{name}.pid").write_text(str(process.pid))
    process.returncode = 0  # it outlives this program on purpose
    return process.pid


def number(state: Path, name: str) -> int:
    """The process number of a program that `start` started."""
    return int((state / f"{name}.pid").read_text())


def end(state: Path) -> None:
    """Ends what `start` started; a reused process number is left alone."""
    for record in state.glob("*.pid"):
        _kill(int(record.read_text()), state)
        record.unlink()
    # containerd starts one for every pod, and they outlive it.
    for process in Path("/proc").glob("[0-9]*"):
        if _SHIM in _command(int(process.name)):
            _kill(int(process.name), state)


def until(check: Callable[[], object], what: object, secs: float = 60) -> object:
    """Waits until check() gives something; returns it.

    Raises:
        TimeoutError: it did not; says what.
    """
    deadline = time.monotonic() + secs
    while not (found := check()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {secs:.0f} s")
        time.sleep(0.2)
    return found


def _kill(process: int, state: Path) -> None:
    if str(state).encode() in _command(process):
        os.kill(process, signal.SIGKILL)  # an API server without etcd would linger for a minute


def _command(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:  # it has ended meanwhile
        return b""
