"""The Python stacks of a running process, which it writes into memory of its own when asked.

`python -m common.stacks [PID]` prints those of one process, or of all that offer them.
"""

import contextlib
import faulthandler
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

_NAME = "lockstep-stacks"
_SIGNAL = signal.SIGUSR1
_MOST_SECS, _QUIET_SECS = 10.0, 0.2


def offer() -> None:
    """Let others ask for the stacks of this process, also while a kernel keeps its main thread."""
    faulthandler.register(_SIGNAL, file=os.memfd_create(_NAME), all_threads=True)


def offering() -> list[int]:
    """Return the processes of this user that can be asked, by number."""
    numbers = sorted(int(path.name) for path in Path("/proc").glob("[0-9]*"))
    return [pid for pid in numbers if _file(pid)]


def read(pid: int) -> str:
    """Return the stacks of all threads as they are now, the newest call of each first.

    Raises:
        ProcessLookupError: there is no such process, or it does not offer them.
        TimeoutError: it does not answer: it is stopped, or waits for a disk.
    """
    file = _file(pid)
    if file is None:
        raise ProcessLookupError(f"process {pid} offers no stacks")
    before = after = file.stat().st_size
    os.kill(pid, _SIGNAL)
    until, since = time.monotonic() + _MOST_SECS, time.monotonic()
    while after == before or time.monotonic() - since < _QUIET_SECS:
        if time.monotonic() > until:
            raise TimeoutError(f"process {pid} does not answer within {_MOST_SECS:.0f} s")
        time.sleep(0.02)
        if (size := file.stat().st_size) != after:
            after, since = size, time.monotonic()
    return file.read_bytes()[before:after].decode(errors="replace")


def _file(pid: int) -> Path | None:
    """Return where a process writes its stacks; None where the signal would end it."""
    with contextlib.suppress(OSError, ValueError):  # it ended, or is another user's
        status = Path(f"/proc/{pid}/status").read_text()
        caught = int(status.partition("SigCgt:")[2].split()[0], 16)
        for path in Path(f"/proc/{pid}/fd").iterdir():
            if _NAME in str(path.readlink()) and caught >> (_SIGNAL - 1) & 1:
                return path
    return None


def main(args: Sequence[str]) -> int:
    """Print the stacks; return the exit code."""
    pids = [int(arg) for arg in args] or offering()
    if not pids:
        print("no process here offers its stacks", file=sys.stderr)
        return 1
    for pid in pids:
        try:
            print(f"process {pid}\n{read(pid)}")
        except OSError as error:
            print(f"{error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
