"""Saves while training goes on: one thread, one save at a time."""

import contextlib
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor

from common.exit_codes import RunError
from trainer.checkpoint.state import Meta, State
from trainer.checkpoint.store import Store
from trainer.monitoring.watchdog import Watchdog


class Saver:
    """Saves to a store, in the background or at once.

    Args:
        store: where to.
        watchdog: bounds each save.
        before_save: called before every save, in the thread that makes it; may refuse.
        after_save: called after every save, in the same thread.

    Attributes:
        store: where to.
        save_secs: of the last save, in whatever thread; 0 before the first.
        durable: of the newest state that a restart would restore; None: there is none.
    """

    def __init__(
        self,
        store: Store,
        watchdog: Watchdog,
        before_save: Callable[[], None] = lambda: None,
        after_save: Callable[[], None] = lambda: None,
    ) -> None:
        self.store = store
        self._before_save = before_save
        self._after_save = after_save
        self._watchdog = watchdog
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="save")
        self._pending: Future[None] | None = None
        self.save_secs = 0.0
        self.durable: Meta | None = None

    def start(self, state: State, meta: Meta, also_keep: Iterable[int]) -> None:
        """Save in the background, after the save that is under way.

        Raises:
            RunError: of that earlier save.
        """
        self.wait()  # one at a time: two would hold two copies of the state
        keep = tuple(also_keep)
        self._pending = self._pool.submit(self._save, state, meta, keep, verified=False)

    def finish(self, state: State, meta: Meta, also_keep: Iterable[int]) -> None:
        """Save, read back, and only then return; an earlier save that failed is made good by it.

        Raises:
            RunError: the state is not durable.
        """
        with contextlib.suppress(RunError):
            self.wait()
        self._save(state, meta, tuple(also_keep), verified=True)

    def wait(self) -> None:
        """Wait for the save that is under way; raises what stopped it."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def raise_if_failed(self) -> None:
        """Raise what stopped the last save, if it has ended."""
        if self._pending is not None and self._pending.done():
            self.wait()

    def close(self) -> None:
        """End the thread; a save that is under way is finished first."""
        self._pool.shutdown()

    def _save(
        self, state: State, meta: Meta, also_keep: tuple[int, ...], *, verified: bool
    ) -> None:
        started = time.monotonic()
        with self._watchdog.watch("save"):
            self._before_save()
            self.store.save(state, meta, verified=verified, also_keep=also_keep)
            self._after_save()
        self.durable = meta
        self.save_secs = time.monotonic() - started
