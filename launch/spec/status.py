"""What a job is doing or why it ended, in the same words for every backend."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Generic, Literal, TypeVar

from common.exit_codes import ExitCode
from launch.spec.exit_policy import IGNORED_CODES, explain_exit

Phase = Literal["queued", "starting", "running", "succeeded", "failed", "cancelled", "lost"]
T = TypeVar("T")
ENDED: tuple[Phase, ...] = ("succeeded", "failed", "cancelled", "lost")


@dataclasses.dataclass(frozen=True)
class Failure:
    """The first worker that failed.

    Attributes:
        worker: its name, for example "worker 1".
        attempt: which start of the job it belonged to, from 0.
        exit_code: its exit code in shell terms, or None where it never ran.
        reason: what happened, one phrase.
        advice: what to try, one phrase.
        last_lines: the end of its log.
    """

    worker: str
    attempt: int
    exit_code: int | None
    reason: str
    advice: str
    last_lines: tuple[str, ...] = ()

    def __str__(self) -> str:
        """One line: who, which code, what it means."""
        code = f" exit code {self.exit_code}:" if self.exit_code is not None else ""
        return f"{self.worker}, attempt {self.attempt}:{code} {self.reason}"


@dataclasses.dataclass(frozen=True)
class JobStatus:
    """One job as `list` and `describe` show it.

    Attributes:
        name: name of the job.
        backend: local or kubernetes.
        phase: what it is doing.
        detail: one phrase on the phase, for example "3 of 4 running".
        created: when it was submitted, ISO 8601.
        command: what runs, one string.
        workdir: where its results are.
        restarts: counted restarts so far.
        max_restarts: how many are allowed.
        first_failure: the newest attempt's first failed worker, or None.
        trials: one line of results for each trial of a sweep.
    """

    name: str
    backend: str
    phase: Phase
    detail: str = ""
    created: str = ""
    command: str = ""
    workdir: str = ""
    restarts: int = 0
    max_restarts: int = 0
    first_failure: Failure | None = None
    trials: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The status as plain values, for --output=json and yaml."""
        return {**dataclasses.asdict(self), "trials": list(self.trials)}


@dataclasses.dataclass(frozen=True)
class Ended(Generic[T]):
    """A worker that failed, as much of it as decides which was the first.

    Attributes:
        attempt: which start of the job it belonged to.
        code: its exit code in shell terms, or None.
        source: what its failure is told from.
    """

    attempt: int
    code: int | None
    source: T


def first_ended(failed: Sequence[Ended[T]]) -> Ended[T] | None:
    """Who failed first in the newest attempt that had a failure; None where nobody did.

    A worker that was stopped tells nothing where another failed. Who lost a peer was not the first,
    whatever the clocks say: they count seconds, and two ends may be seen at one look.

    Args:
        failed: in the order in which they ended.
    """
    graver = [one for one in failed if one.code not in IGNORED_CODES] or failed
    newest = max((one.attempt for one in graver), default=0)
    return min(
        (one for one in graver if one.attempt == newest),
        key=lambda one: one.code == ExitCode.PEER_LOST,
        default=None,
    )


def failure_of_exit(worker: str, attempt: int, code: int, last_lines: tuple[str, ...]) -> Failure:
    """The failure that an exit code tells."""
    meaning, advice = explain_exit(code)
    return Failure(worker, attempt, code, meaning, advice, last_lines)


def describe(status: JobStatus) -> str:
    """The status as a page for people."""
    each = " a trial" if status.trials else ""
    rows = [
        ("phase", f"{status.phase}{', ' if status.detail else ''}{status.detail}"),
        ("submitted", status.created),
        ("command", status.command),
        ("workdir", status.workdir),
        ("restarts", f"{status.restarts} of {status.max_restarts}{each}"),
    ]
    if failure := status.first_failure:
        rows += [("first failure", str(failure)), ("try", failure.advice)]
    lines = [f"{status.name} ({status.backend})"]
    lines += [f"  {label:<14}{value}" for label, value in rows if value]
    if failure and failure.last_lines:
        lines += ["  last lines", *(f"    | {line}" for line in failure.last_lines)]
    if status.trials:
        lines += ["  trials", *(f"    {line}" for line in status.trials)]
    return "\n".join(lines)


def table(statuses: list[JobStatus]) -> str:
    """One line a job, under a header."""
    rows = [("NAME", "PHASE", "RESTARTS", "SUBMITTED", "DETAIL")]
    for one in statuses:
        why = str(one.first_failure) if one.phase == "failed" and one.first_failure else one.detail
        rows.append((one.name, one.phase, str(one.restarts), one.created, why))
    pads = [*(max(len(row[column]) for row in rows) for column in range(4)), 0]
    return "\n".join(
        "  ".join(f"{cell:<{pad}}" for cell, pad in zip(row, pads, strict=True)).rstrip()
        for row in rows
    )
