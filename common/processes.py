"""What the system knows of a process: when it was started, and how to recognise it later."""

import os
import time
from pathlib import Path

# Of `_stat`.
_START_FIELD = 19


def started_at() -> float:
    """Return the Unix time at which this process was started, to 10 ms.

    The interpreter and the imports before the first line of ours count as well.
    """
    try:
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - _ticks("self") / os.sysconf("SC_CLK_TCK")
        return time.time() - age
    except (OSError, IndexError, AttributeError):  # not Linux
        return time.time()


def identity(pid: int) -> str:
    """Return what no other process of this machine has, or "" where there is no such process.

    Process numbers are used again, and ticks count from the last boot: only both together with the
    boot tell that it is still the same process.
    """
    try:
        return f"{_ticks(pid)}@{_boot()}"
    except (OSError, IndexError):
        return ""


def state(pid: int) -> str:
    """Return what a process does: "T" stopped, "Z" ended and not asked for; "" where is none."""
    try:
        return _stat(pid)[0]
    except (OSError, IndexError):
        return ""


def space() -> str:
    """Return in which boot and namespace the process numbers seen here mean something; or ""."""
    try:
        return f"{Path('/proc/self/ns/pid').readlink()}@{_boot()}"
    except OSError:  # not Linux
        return ""


def _ticks(pid: int | str) -> int:
    """Return when a process was started, in clock ticks since the boot."""
    return int(_stat(pid)[_START_FIELD])


def _stat(pid: int | str) -> list[str]:
    """The fields of /proc/PID/stat behind the name in brackets, which may itself hold spaces."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
