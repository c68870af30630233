"""Where the time of a run went, over all processes that worked on it."""

import contextlib
import dataclasses
import json
import pathlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from common import files

BUCKETS = (
    "step",  # productive: updates that are in the final state
    "redone",  # updates that were made again after a crash
    "compile",
    "data",  # steps waited for examples that are streamed
    "evaluate",
    "save",  # only what the loop waits for
    "restore",
    "peers",  # rendezvous, and agreeing with other workers
    "start",  # interpreter, imports, strategy, data, model
    "down",  # no process was running
    "other",
)
_HEARTBEAT_SECS = 2.0


@dataclasses.dataclass(frozen=True)
class Attempt:
    """One process.

    Attributes:
        started: Unix seconds.
        ended: of its last sign of life.
        first_step: it began at.
        last_step: it reached.
        seconds: bucket -> seconds; they add up to its life.
        is_last: the run was over with it; a later one makes it longer, or only shows its end.
    """

    started: float
    ended: float
    first_step: int
    last_step: int
    seconds: Mapping[str, float]
    is_last: bool = False


class Ledger:
    """Books every second of this process under one bucket; the innermost block wins.

    Args:
        clock: Unix seconds.
        started: Unix seconds at which the process began.
    """

    def __init__(self, clock: Callable[[], float] = time.time, started: float | None = None):
        self._clock = clock
        self._started = clock() if started is None else started
        self._since = self._started
        self._bucket = "start"
        self._seconds = dict.fromkeys(BUCKETS, 0.0)
        self._path: pathlib.Path | None = None
        self._past: tuple[Attempt, ...] = ()
        self._written = 0.0
        self._is_last = False
        self.first_step = self.step = 0

    def open(self, path: pathlib.Path) -> None:
        """Go on with the file of a workdir; it is rewritten at every heartbeat."""
        self._path = path
        with contextlib.suppress(OSError, ValueError, TypeError):
            self._past = tuple(Attempt(**entry) for entry in json.loads(path.read_text()))

    @contextlib.contextmanager
    def spend(self, bucket: str) -> Iterator[None]:
        """Book the block under `bucket`."""
        outer = self._switch(bucket)
        try:
            yield
        finally:
            self._switch(outer)

    def move(self, source: str, target: str, secs: float) -> None:
        """Book seconds that were measured inside a block elsewhere; at most what is there."""
        secs = min(secs, self.seconds(source))
        self._seconds[source] -= secs
        self._seconds[target] += secs

    def begin(self, step: int) -> None:
        """The start is over; the run goes on from `step`."""
        self._switch("other")
        self.first_step = self.step = step

    def end(self) -> None:
        """The run is over: until somebody makes it longer, no time of it is lost."""
        self._is_last = True

    def beat(self, step: int) -> None:
        """Note the step that was reached, on disk at most every few seconds."""
        self.step = step
        if self._clock() - self._written > _HEARTBEAT_SECS:
            self.write()

    def write(self) -> None:
        """Put what is known on disk."""
        self._written = self._clock()
        if self._path is None:
            return
        attempts = [dataclasses.asdict(a) for a in (*self._past, self._now())]
        # A lost ledger costs a statistic: a full disk is the business of the checkpoints.
        with contextlib.suppress(OSError):
            files.write_text(self._path, json.dumps(attempts))

    def seconds(self, bucket: str) -> float:
        """Seconds of this process under `bucket`."""
        return self._now().seconds[bucket]

    def lived(self) -> float:
        """Seconds since this process began."""
        return self._clock() - self._started

    def report(self) -> dict[str, Any]:
        """Return the buckets of the whole run; see `summarize`."""
        return summarize((*self._past, self._now()))

    @property
    def mean_time_between_failures(self) -> float:
        """Seconds lived for each process that ended; before the first end, all that was lived."""
        return self.lived_by_all() / max(1, len(self._past))

    def lived_by_all(self) -> float:
        """Seconds that the processes of the run have lived, one after another."""
        return self.lived() + sum(a.ended - a.started for a in self._past)

    def _now(self) -> Attempt:
        self._switch(self._bucket)
        seconds = dict(self._seconds)
        return Attempt(
            self._started, self._since, self.first_step, self.step, seconds, self._is_last
        )

    def _switch(self, bucket: str) -> str:
        now, outer = self._clock(), self._bucket
        self._seconds[outer] += now - self._since
        self._since, self._bucket = now, bucket
        return outer


def summarize(attempts: Sequence[Attempt]) -> dict[str, Any]:
    """Return where the time from the first start to the last sign of life went.

    Between the end of a run and the start that makes it longer no time passes.

    Steps that a later process made again are taken from "step" to "redone", at the mean cost of
    a step of the process that lost them. A process that made none says nothing of what was lost.

    Returns:
        "goodput" (the share of "step"), "seconds" by bucket, "total_seconds", "attempts".
    """
    seconds, idle = dict.fromkeys(BUCKETS, 0.0), 0.0
    for index, attempt in enumerate(attempts):
        for bucket, value in attempt.seconds.items():
            seconds[bucket] += value
        if index + 1 == len(attempts):
            break
        gap = max(0.0, attempts[index + 1].started - attempt.ended)
        if attempt.is_last:
            idle += gap
        else:
            seconds["down"] += gap
        made = attempt.last_step - attempt.first_step
        # The furthest that any later one fell back: it may be behind the start of this one.
        again = [a.first_step for a in attempts[index + 1 :] if a.last_step > a.first_step]
        lost = min(made, max(0, attempt.last_step - min(again, default=attempt.last_step)))
        cost = attempt.seconds["step"] * lost / made if made else 0.0
        seconds["step"] -= cost
        seconds["redone"] += cost
    total = attempts[-1].ended - attempts[0].started - idle
    return {
        "goodput": seconds["step"] / total if total else 0.0,
        "total_seconds": total,
        "attempts": len(attempts),
        "seconds": seconds,
    }


def young_interval(save_secs: float, mean_time_between_failures: float) -> float:
    """Return the seconds between saves that lose least: sqrt(2 * cost * MTBF).

    Source: Young, "A first order approximation to the optimum checkpoint interval", 1974.
    """
    return float((2.0 * save_secs * mean_time_between_failures) ** 0.5)
