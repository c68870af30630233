"""What the run is doing now: one word that the watchdog bounds and the ledger books."""

import contextlib
from collections.abc import Callable, Iterator

from trainer.monitoring.goodput import Ledger
from trainer.monitoring.watchdog import Watchdog


class Phases:
    """Opens phases for both.

    Attributes:
        watchdog: ends the process where a phase hangs.
        ledger: books its seconds.
        started: called when the first steps are made, and all that stays is there.
    """

    def __init__(
        self, watchdog: Watchdog, ledger: Ledger, started: Callable[[], None] = lambda: None
    ) -> None:
        self.watchdog = watchdog
        self.ledger = ledger
        self.started = started

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Run the block as phase `name`, one of `goodput.BUCKETS`."""
        with self.watchdog.watch(name), self.ledger.spend(name):
            yield
