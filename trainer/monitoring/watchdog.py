"""Ends a process that hangs: every phase has a deadline, and a thread that watches it."""

import contextlib
import dataclasses
import faulthandler
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator

from common.exit_codes import ExitCode

FLOOR_SECS = 60.0
"""No learnt deadline is shorter: a loaded machine is not a hung one."""
_FACTOR = 20.0
_NEVER_LEARNT = frozenset({"peers", "save", "end", "leave"})
"""How long these take is up to other work than before: what other workers do, whether the save
before is still under way, what is left."""
_POLL_SECS = 0.5


@dataclasses.dataclass(frozen=True)
class _Watched:
    phase: str
    started: float
    limit: float


class Watchdog:
    """Watches phases of all threads; on a deadline dumps every stack and exits with 202.

    A phase that was seen before may take `_FACTOR` times the longest that was seen, and never
    more than the limit for a phase that was not. Of some phases nothing is learnt.

    Args:
        startup_secs: limit of the phase "start".
        hang_secs: limit of any other phase.
        clock: monotonic seconds.
        on_expiry: called with the last line; ends the process.
    """

    def __init__(
        self,
        startup_secs: float,
        hang_secs: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        on_expiry: Callable[[str], None] | None = None,
    ) -> None:
        self._startup_secs = startup_secs
        self._hang_secs = hang_secs
        self._clock = clock
        self._on_expiry = on_expiry or _die
        self._longest: dict[str, float] = {}
        self._never_learnt = _NEVER_LEARNT
        self._active: dict[int, _Watched] = {}
        self._lock = threading.Lock()
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def __enter__(self) -> "Watchdog":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._left.set()
        self._thread.join()

    def never_learn(self, *phases: str) -> None:
        """Let these take as long as a phase that was not seen before, each time."""
        self._never_learnt |= set(phases)

    @contextlib.contextmanager
    def watch(self, phase: str) -> Iterator[None]:
        """Give the block the deadline of `phase`, and learn from how long it took."""
        watched = _Watched(phase, self._clock(), self.limit(phase))
        with self._lock:
            self._active[id(watched)] = watched
        try:
            yield
        finally:
            with self._lock:
                del self._active[id(watched)]
                took = self._clock() - watched.started
                self._longest[phase] = max(took, self._longest.get(phase, 0.0))

    def limit(self, phase: str) -> float:
        """Return the seconds that `phase` may take now."""
        if phase == "start":
            return self._startup_secs
        if phase in self._never_learnt or phase not in self._longest:
            return self._hang_secs
        return min(self._hang_secs, max(FLOOR_SECS, _FACTOR * self._longest[phase]))

    def check(self) -> None:
        """End the process if a phase is past its deadline."""
        now = self._clock()
        with self._lock:
            late = [w for w in self._active.values() if now - w.started > w.limit]
        if late:
            flag = "--startup_deadline_secs" if late[0].phase == "start" else "--hang_deadline_secs"
            self._on_expiry(
                ExitCode.HANG.last_line(
                    f"phase {late[0].phase!r} took more than {late[0].limit:.0f} s; the stacks of "
                    f"all threads are above; raise {flag} if the phase needs longer"
                )
            )

    def _run(self) -> None:
        while not self._left.wait(_POLL_SECS):
            self.check()


def _die(line: str) -> None:
    sys.stdout.flush()
    faulthandler.dump_traceback(file=sys.stderr, all_threads=True)
    print(line, file=sys.stderr, flush=True)
    os._exit(ExitCode.HANG)
