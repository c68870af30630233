"""Why a job failed: each worker's end has a cause; the order of causes selects the explaining one.

Times do not tell: they are in seconds, and a survivor notices the end of its peer within one.
"""

import dataclasses
import enum
import signal
from collections.abc import Sequence

from common.exit_codes import ExitCode
from launch.spec.exit_policy import explain_exit


class Cause(enum.StrEnum):
    """The gravest first: within one attempt, an earlier member explains a later one."""

    CODE = "config or code"
    DATA = "data"
    MEMORY = "memory"
    EVICTION = "eviction"
    IMAGE = "image"
    NODE = "node"
    HARDWARE = "hardware"
    KILLED = "killed from outside"
    STORAGE = "storage"
    HANG = "hang"
    PEER = "peer lost"
    UNKNOWN = "unknown"
    STOPPED = "stopped"

    @property
    def is_counted(self) -> bool:
        """Whether a restart for it counts: what the cluster or a signal ends does not."""
        return self not in (Cause.EVICTION, Cause.NODE, Cause.STOPPED)

    @property
    def rank(self) -> int:
        """Its place in the order, from 0."""
        return list(Cause).index(self)


_OF_CODES = {
    int(ExitCode.BAD_DATA): Cause.DATA,
    int(ExitCode.STOPPED): Cause.STOPPED,
    int(ExitCode.TRANSIENT): Cause.STORAGE,
    int(ExitCode.PEER_LOST): Cause.PEER,
    int(ExitCode.HANG): Cause.HANG,
    int(ExitCode.CORRUPTED): Cause.HARDWARE,
    # Signals that no program brings upon itself by a fault; 128 + N in shell terms.
    **{
        128 + number: Cause.KILLED
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGKILL)
    },
}


def of_exit(code: int) -> Cause:
    """The cause that an exit code in shell terms tells: what nobody else explains is the code's."""
    return _OF_CODES.get(code, Cause.CODE)


@dataclasses.dataclass(frozen=True)
class Failure:
    """The end of one worker.

    Attributes:
        worker: its name, for example "worker 1".
        attempt: which start of the job it belonged to, from 0.
        exit_code: its exit code in shell terms, or None where it never ran.
        reason: what happened, one phrase.
        advice: what to try, one phrase.
        last_lines: the end of its log.
        cause: what kind of reason it is.
    """

    worker: str
    attempt: int
    exit_code: int | None
    reason: str
    advice: str
    last_lines: tuple[str, ...] = ()
    cause: Cause = Cause.CODE

    def __str__(self) -> str:
        """One line: who, which code, what it means."""
        code = f" exit code {self.exit_code}:" if self.exit_code is not None else ""
        return f"{self.worker}, attempt {self.attempt}:{code} {self.reason}"


def failure_of_exit(
    worker: str, attempt: int, code: int, last_lines: tuple[str, ...] = ()
) -> Failure:
    """The failure that an exit code tells."""
    meaning, advice = explain_exit(code)
    return Failure(worker, attempt, code, meaning, advice, last_lines, of_exit(code))


def root(failures: Sequence[Failure]) -> Failure:
    """The failure that explains the others of one attempt; of equal causes the first.

    Args:
        failures: in the order in which they came.
    """
    return min(failures, key=lambda failure: failure.cause.rank)


def newest_root(
    attempts: Sequence[Sequence[Failure]],
) -> tuple[Failure | None, tuple[Failure, ...]]:
    """What explains the newest attempt that failed, and what explains each of the others.

    An attempt that was only stopped explains nothing where another one failed.

    Args:
        attempts: the failures of each, the oldest first; an empty one is passed over.
    """
    roots = [root(failures) for failures in attempts if failures]
    failed = [one for one in roots if one.cause is not Cause.STOPPED] or roots
    shown = failed[-1] if failed else None
    return shown, tuple(one for one in roots if one is not shown)
