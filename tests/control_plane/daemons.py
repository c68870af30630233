"""The programs of one run of a cluster, in the background: started, and ended by their numbers."""

import contextlib
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
    """Ends what `start` started and the containers of its pods; others' processes are left alone.

    A process number may have been given to another program meanwhile: what belongs to this run has
    the folder in its command line.
    """
    for record in state.glob("*.pid"):
        if _is_of(state, int(record.read_text())):
            os.kill(int(record.read_text()), signal.SIGKILL)  # the API server would linger
        record.unlink()
    processes = [int(folder.name) for folder in Path("/proc").glob("[0-9]*")]
    # A pod has a shim, which outlives containerd; the containers are its children.
    shims = {one for one in processes if _is_of(state, one) and _SHIM in _command(one)}
    for one in processes:
        if one in shims or _parent(one) in shims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)


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


def _is_of(state: Path, process: int) -> bool:
    return str(state).encode() in _command(process)


def _command(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:  # it has ended meanwhile
        return b""


def _parent(process: int) -> int:
    try:
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0
