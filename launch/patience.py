"""Asking again while a cluster is out of reach: a job goes on without us."""

import time
from collections.abc import Callable
from typing import TypeVar

from common.exit_codes import ExitCode, RunError

PATIENCE_SECS = 300.0
T = TypeVar("T")


def patiently(
    ask: Callable[[], T],
    tell: Callable[[str], None],
    poll_secs: float,
    patience_secs: float = PATIENCE_SECS,
) -> T:
    """The answer, asked for again after every transient error.

    Args:
        ask: what is tried.
        tell: receives one line when the first try fails.
        poll_secs: pause between tries, seconds.
        patience_secs: how long errors are borne, seconds.

    Raises:
        RunError: any error that is not transient, or the last one when patience is at its end.
    """
    until = time.monotonic() + patience_secs
    told = False
    while True:
        try:
            return ask()
        except RunError as error:
            if error.code != ExitCode.TRANSIENT or time.monotonic() >= until:
                raise
            if not told:
                tell(f"[launch] {error.reason}; asking again")
                told = True
            time.sleep(poll_secs)
