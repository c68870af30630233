"""Named places at which a test makes a run fail; without the variable they do nothing.

LOCKSTEP_FAILPOINT=checkpoint.before_commit:kill        the first time it is reached
LOCKSTEP_FAILPOINT=checkpoint.write:enospc@7            the seventh time
"""

import collections
import errno
import os
import signal
import time

from common.exit_codes import ExitCode, RunError

VARIABLE = "LOCKSTEP_FAILPOINT"
NAMES = (
    "rendezvous.listening",
    "strategy.before",
    "restore.before",
    "data.read",
    "loop.boundary",
    "evaluate.boundary",
    "checkpoint.write",
    "checkpoint.before_commit",
    "checkpoint.before_rename",
    "checkpoint.after_rename",
    "checkpoint.before_prune",
    "loop.before_last_save",
    "loop.before_summary",
    "loop.before_report",
)
_ERRORS = {"enospc": errno.ENOSPC, "eio": errno.EIO, "erofs": errno.EROFS}
_SIGNALS = {"kill": signal.SIGKILL, "term": signal.SIGTERM, "stop": signal.SIGSTOP}
_TAKING_SECS = 0.05
_ACTIONS = (*_ERRORS, *_SIGNALS, "hang")

_reached: collections.Counter[str] = collections.Counter()


def reach(name: str) -> None:
    """Do what the variable asks for at the failpoint `name`.

    Raises:
        OSError: for `enospc`, `eio` and `erofs`, from the given time on.
    """
    wanted, action, count = _parse(os.environ.get(VARIABLE, ""))
    if name != wanted:
        return
    _reached[name] += 1
    if action in _ERRORS and _reached[name] >= count:
        raise OSError(_ERRORS[action], os.strerror(_ERRORS[action]))
    if _reached[name] != count:
        return
    if action in _SIGNALS:
        _send(_SIGNALS[action])
    elif action == "hang":
        time.sleep(10**6)


def _send(number: signal.Signals) -> None:
    """Send this process a signal; what follows finds it taken, not under way to its thread."""
    os.kill(os.getpid(), number)
    while number in signal.sigpending():
        time.sleep(0.001)
    time.sleep(_TAKING_SECS)


def check() -> None:
    """Refuse a failpoint that does not exist, so that no chaos test passes by a spelling mistake.

    Raises:
        RunError: BAD_FLAG.
    """
    name, action, _ = _parse(text := os.environ.get(VARIABLE, ""))
    if text and (name not in NAMES or action not in _ACTIONS):
        raise RunError(
            ExitCode.BAD_FLAG,
            f"{VARIABLE}={text!r} is not NAME:ACTION[@COUNT]; names: {', '.join(NAMES)}; "
            f"actions: {', '.join(_ACTIONS)}",
        )


def _parse(text: str) -> tuple[str, str, int]:
    name, _, rest = text.partition(":")
    action, _, count = rest.partition("@")
    return name, action, int(count) if count.isdecimal() else 1
