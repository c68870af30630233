"""Bounded retries with exponential backoff and full jitter."""

import dataclasses
import random
import time
from collections.abc import Callable
from typing import TypeVar

from common.exit_codes import ExitCode, RunError
from trainer.storage import failures

Result = TypeVar("Result")


@dataclasses.dataclass(frozen=True)
class Retry:
    """How long one storage call is repeated before the run gives up.

    Before attempt k the caller waits uniform(0, min(cap_secs, base_secs * 2**k)): full jitter, so
    that many workers that failed together do not come back together.

    Attributes:
        num_attempts: calls in all, the first included.
        base_secs: scale of the first wait.
        cap_secs: no wait is longer.
        budget_secs: no attempt is started later than this after the first.
        sleep: waits for the seconds given.
        clock: monotonic seconds.
        uniform: draws the wait from (low, high).
    """

    num_attempts: int = 10
    base_secs: float = 0.5
    cap_secs: float = 30.0
    budget_secs: float = 300.0
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    uniform: Callable[[float, float], float] = random.uniform

    def run(self, call: Callable[[], Result], url: str, doing: str) -> Result:
        """Make one storage call until it succeeds.

        Args:
            call: the call; must be safe to repeat.
            url: what it touches, for the error line.
            doing: the verb of the error line, like "reading".

        Returns:
            what the call returns.

        Raises:
            RunError: BAD_CONFIG at once for 401, 403, 404 and other refusals; TRANSIENT when
                the attempts or the seconds are spent.
        """
        start = self.clock()
        for attempt in range(1, self.num_attempts + 1):
            try:
                return call()
            except Exception as error:
                last = error
            if not failures.is_transient(last):
                raise failures.permanent(last, url, doing) or last from None
            wait = self.uniform(0.0, min(self.cap_secs, self.base_secs * 2**attempt))
            if attempt == self.num_attempts or self.clock() - start + wait > self.budget_secs:
                break
            self.sleep(wait)
        raise self._spent(last, url, doing, attempt, self.clock() - start) from None

    def _spent(
        self, error: Exception, url: str, doing: str, attempts: int, secs: float
    ) -> RunError:
        why = failures.reason(error)
        return RunError(
            ExitCode.TRANSIENT,
            f"{doing} {failures.describe(url)}: {why} after {attempts} attempts in {secs:.0f} s; "
            "start the same command again, and check the store if it repeats",
        )
