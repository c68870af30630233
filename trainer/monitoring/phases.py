"""What a run is doing now, for the watchdog and the ledger; and how long its steps take."""

import contextlib
import gc
import math
import time
from collections.abc import Callable, Iterator

from common import processes
from trainer.monitoring.goodput import Ledger
from trainer.monitoring.watchdog import Watchdog

_WAITED_FOR = {"data": ("data",), "host": ("other", "peers")}


class Phases:
    """Names what this process is doing: the watchdog bounds it, the ledger books its seconds.

    Attributes:
        watchdog: ends the process where a phase hangs.
        ledger: where the seconds of this process are booked.
    """

    def __init__(self, watchdog: Watchdog, ledger: Ledger, *, owns_process: bool = False) -> None:
        self.watchdog = watchdog
        self.ledger = ledger
        self._owns_process = owns_process

    @contextlib.contextmanager
    def phase(self, name: str, book: str = "") -> Iterator[None]:
        """Run the block as phase `name`, booked under `book`, one of `goodput.BUCKETS`."""
        with self.watchdog.watch(name), self.ledger.spend(book or name):
            yield

    def end_start(self) -> None:
        """End the start: what it made stays for the whole run, and is no garbage to look for."""
        if self._owns_process:
            gc.freeze()
            gc.enable()


@contextlib.contextmanager
def watched(startup_secs: float, hang_secs: float) -> Iterator[Phases]:
    """Give the phases of a process that only trains: a phase that hangs ends it.

    Python collects no garbage until `end_start`: a start makes millions of objects that stay.

    Args:
        startup_secs: deadline of the phase "start".
        hang_secs: deadline of any other phase.
    """
    gc.disable()
    with Watchdog(startup_secs, hang_secs) as watchdog:
        yield Phases(watchdog, Ledger(started=processes.started_at()), owns_process=True)


def unwatched() -> Phases:
    """Return phases that end no process: in a notebook it is the user's."""
    return Phases(Watchdog(math.inf, math.inf), Ledger())


class StepTimes:
    """The calls of the inner loop: how many steps they made, and how long each took.

    A call makes many steps and the host sees only its two ends, so every step counts with the mean
    of its call. The call that compiles is not among those that are read.

    Args:
        phases: of the process.

    Attributes:
        num_steps: made by this process in this run.
        secs_per_step: of the last call, as all workers agree; 0 where nothing was measured, None
            before the first call, which compiles.
    """

    def __init__(self, phases: Phases) -> None:
        self.phases = phases
        self.num_steps = 0
        self.secs_per_step: float | None = None
        self._calls: list[tuple[float, int]] = []
        self._booked = self._waits()

    @property
    def seconds(self) -> float:
        """Of this process in the inner loop, compilation and waiting for data included."""
        return sum(map(self.phases.ledger.seconds, ("step", "compile", "data")))

    @property
    def steps_per_second(self) -> float:
        """Of this process so far, compilation included."""
        seconds = self.seconds
        return self.num_steps / seconds if seconds else 0.0

    @contextlib.contextmanager
    def call(self, num_steps: int, waited: Callable[[], float]) -> Iterator[None]:
        """Time the block, a call of the inner loop that makes `num_steps`.

        Args:
            num_steps: of the call.
            waited: seconds so far that steps waited for their examples.
        """
        is_first = self.secs_per_step is None
        bucket = "compile" if is_first else "step"
        started, waited_before = time.monotonic(), waited()
        with self.phases.phase(bucket):
            yield
        # The wait lies inside the call, where the ledger cannot see it.
        self.phases.ledger.move(bucket, "data", waited() - waited_before)
        self.num_steps += num_steps
        if is_first:
            self.secs_per_step = 0.0
            self.phases.end_start()
        else:
            self.secs_per_step = (time.monotonic() - started) / num_steps
            self.add(self.secs_per_step, num_steps)

    def add(self, secs_per_step: float, num_steps: int) -> None:
        """Note a call."""
        self._calls.append((secs_per_step, num_steps))

    def read(self) -> dict[str, float]:
        """Return the pace since this was last read; nothing where no call was made.

        Returns:
            "steps_per_second" of the inner loop, waiting for examples included; and ms a step:
            "step_ms_p50" and "step_ms_p99" of the inner loop; "data_ms", the part of it that waits
            for examples; "host_ms", what passes between the calls, saves and evaluation left out.
        """
        calls, booked = sorted(self._calls), self._booked
        self._calls, self._booked = [], self._waits()
        if not (num_steps := sum(count for _, count in calls)):
            return {}
        waits = {n: (self._booked[n] - secs) / num_steps for n, secs in booked.items()}
        spread = {f"step_ms_p{q}": _quantile(calls, num_steps * q / 100) for q in (50, 99)}
        named = {**spread, **{f"{name}_ms": secs for name, secs in waits.items()}}
        rate = num_steps / sum(secs * count for secs, count in calls)
        return {"steps_per_second": rate, **{name: 1e3 * secs for name, secs in named.items()}}

    def _waits(self) -> dict[str, float]:
        seconds = self.phases.ledger.seconds
        return {name: sum(map(seconds, buckets)) for name, buckets in _WAITED_FOR.items()}


def _quantile(calls: list[tuple[float, int]], rank: float) -> float:
    """Return the time of the step of this rank in ascending `calls`."""
    for secs, count in calls:
        rank -= count
        if rank <= 0:
            return secs
    return calls[-1][0]
