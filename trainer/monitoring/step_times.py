"""How long steps take, and what of it they wait for: read at every line of the log."""

from trainer.monitoring.goodput import Ledger

_WAITED_FOR = {"data": ("data",), "host": ("other", "peers")}


class StepTimes:
    """The calls of the inner loop since they were last read.

    A call makes many steps and the host sees only its two ends, so every step counts with the mean
    of its call. The call that compiles is not among them.

    Args:
        ledger: where the seconds of this process are booked.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._calls: list[tuple[float, int]] = []
        self._booked = self._waits()

    def add(self, secs_per_step: float, num_steps: int) -> None:
        """Note a call."""
        self._calls.append((secs_per_step, num_steps))

    def read(self) -> dict[str, float]:
        """Return ms a step and begin anew; nothing where no call was made.

        Returns:
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
        return {name: 1e3 * secs for name, secs in named.items()}

    def _waits(self) -> dict[str, float]:
        seconds = self._ledger.seconds
        return {name: sum(map(seconds, buckets)) for name, buckets in _WAITED_FOR.items()}


def _quantile(calls: list[tuple[float, int]], rank: float) -> float:
    """Return the time of the step of this rank in ascending `calls`."""
    for secs, count in calls:
        rank -= count
        if rank <= 0:
            return secs
    return calls[-1][0]
