"""What the run is doing now: one word that the watchdog bounds and the ledger books."""

import contextlib
from collections.abc import Iterator

from trainer.watch.goodput import Ledger
from trainer.watch.watchdog import Watchdog


class Phases:
    """Opens phases for both.

    Attributes:
        watchdog: ends the process where a phase hangs.
        ledger: books its seconds.
    """

    def __init__(self, watchdog: Watchdog, ledger: Ledger) -> None:
        self.watchdog = watchdog
        self.ledger = ledger

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Run the block as phase `name`, one of `goodput.BUCKETS`."""
        with self.watchdog.watch(name), self.ledger.spend(name):
            yield
