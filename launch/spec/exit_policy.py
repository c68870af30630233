"""What follows an exit: ignore, count or fail, decided in one place for every backend.

The local supervisor calls these functions; `podFailurePolicy` and the rules of a JobSet are made
from the same constants (`render.failure_rules`), so that a laptop and a cluster cannot disagree.
"""

import enum
import signal
from collections.abc import Iterable

from common.exit_codes import ExitCode

SHELL_CODES = {
    126: "the command is not executable",
    127: "the command was not found in the image",
}
# Python's own codes: an exception or an option error before the trainer could name a reason.
PYTHON_CODES = {
    1: "Python stopped before the trainer could name a reason",
    2: "Python refused its own command line",
}
_REFUSALS = {int(code) for code in ExitCode if code and not code.retriable}
PERMANENT_CODES = tuple(sorted({*SHELL_CODES, *PYTHON_CODES, *_REFUSALS}))
FOR_GOOD = "not retried: the same command would fail again"
IGNORED_CODES = (int(ExitCode.STOPPED),)


class Verdict(enum.Enum):
    """What the launcher does about one ended worker."""

    DONE = "done"
    IGNORE = "restart, not counted"
    COUNT = "restart, counted"
    FAIL = "fail at once"


def judge_exit(code: int) -> Verdict:
    """The verdict on one exit code in shell terms: 128 + N for a process killed by signal N."""
    if code == ExitCode.DONE:
        return Verdict.DONE
    if code in IGNORED_CODES:
        return Verdict.IGNORE
    return Verdict.FAIL if code in PERMANENT_CODES else Verdict.COUNT


def judge_attempt(codes: Iterable[int]) -> Verdict:
    """The verdict on all workers of one attempt: the gravest one wins.

    Args:
        codes: the exit code of every worker that ended by itself.
    """
    gravity = list(Verdict)
    return max((judge_exit(code) for code in codes), key=gravity.index, default=Verdict.DONE)


def shell_code(returncode: int) -> int:
    """Turns the `-N` by which Python reports signal N into the `128 + N` of shells and pods."""
    return 128 - returncode if returncode < 0 else returncode


def restart_delay_secs(attempt: int) -> float:
    """How long to wait after an attempt, in seconds: a job that cannot start must not spin."""
    return min(0.1 * 2 ** min(attempt, 10), 10.0)


def explain_exit(code: int) -> tuple[str, str]:
    """The meaning of an exit code and what to try, one phrase each."""
    for known in ExitCode:
        if code == known:
            return known.meaning, known.advice
    if code in SHELL_CODES:
        return SHELL_CODES[code], "check the image and the command"
    if code in PYTHON_CODES:
        return PYTHON_CODES[code], "read the last lines of the log"
    if code > 128 and code - 128 in set(signal.Signals):
        return _explain_signal(signal.Signals(code - 128))
    return "a code that the trainer does not use", "read the last lines of the log"


def _explain_signal(number: signal.Signals) -> tuple[str, str]:
    if number is signal.SIGKILL:
        return "killed by SIGKILL", "look for a lack of memory, or for who killed it"
    return f"killed by {number.name}", "read the last lines of the log for a native crash"
