"""What a job is doing or why it ended, in the same words for every backend."""

import dataclasses
from typing import Any, Literal

from launch.spec.causes import Failure

Phase = Literal["queued", "starting", "running", "succeeded", "failed", "cancelled", "lost"]
_MOST_EARLIER = 10
ENDED: tuple[Phase, ...] = ("succeeded", "failed", "cancelled", "lost")


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
        uncounted: attempts that the cluster or a signal ended, as far as they are remembered.
        first_failure: what explains the newest attempt that failed, or None.
        earlier: what explains each attempt before it, one line each, the newest last.
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
    uncounted: int = 0
    first_failure: Failure | None = None
    earlier: tuple[str, ...] = ()
    trials: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The status as plain values, for --output=json and yaml."""
        lists = {"earlier": list(self.earlier), "trials": list(self.trials)}
        return {**dataclasses.asdict(self), **lists}


def describe(status: JobStatus) -> str:
    """The status as a page for people."""
    each = " a trial" if status.trials else ""
    rows = [
        ("phase", f"{status.phase}{', ' if status.detail else ''}{status.detail}"),
        ("submitted", status.created),
        ("command", status.command),
        ("workdir", status.workdir),
        ("restarts", f"{status.restarts} of {status.max_restarts}{each}{_not_counted(status)}"),
    ]
    if failure := status.first_failure:
        rows += [("first failure", str(failure)), ("cause", failure.cause), ("try", failure.advice)]
    lines = [f"{status.name} ({status.backend})"]
    lines += [f"  {label:<14}{value}" for label, value in rows if value]
    if failure and failure.last_lines:
        lines += ["  last lines", *(f"    | {line}" for line in failure.last_lines)]
    if status.earlier:
        left_out = len(status.earlier) - _MOST_EARLIER
        lines += [f"  attempts before{f', {left_out} older left out' if left_out > 0 else ''}"]
        lines += [f"    {line}" for line in status.earlier[-_MOST_EARLIER:]]
    if status.trials:
        lines += ["  trials", *(f"    {line}" for line in status.trials)]
    return "\n".join(lines)


def _not_counted(status: JobStatus) -> str:
    return f", and {status.uncounted} not counted" if status.uncounted else ""


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
