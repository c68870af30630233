"""A request to stop: SIGTERM or SIGINT, at any time in the life of the process."""

import contextlib
import os
import signal
import sys
import threading

from common.exit_codes import ExitCode, RunError

_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT})


class StopSignal:
    """Takes the signals of the process while it is entered; enter it before TensorFlow is imported.

    The signals are blocked in every thread and taken off by one thread that waits for them. So
    they act while the main thread is inside a kernel, a trace or a write, and it does not matter
    that MultiWorkerMirroredStrategy installs a handler that swallows SIGTERM.

    Until `defer` is called there is nothing to save, and a signal ends the process at once.
    """

    def __init__(self) -> None:
        self._deferred = threading.Event()
        self._requested = threading.Event()
        self._left = False
        self._answering = threading.Lock()
        self._thread = threading.Thread(target=self._wait, name="signals", daemon=True)

    def __enter__(self) -> "StopSignal":
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """The run is over: a later signal changes neither its last line nor its exit code.

        The signals stay blocked, for the process ends right after.
        """
        with self._answering:
            self._left = True

    def defer(self) -> None:
        """From now on a signal only asks: the loop stops at its next boundary and saves."""
        self._deferred.set()

    def requested(self) -> bool:
        """Whether a signal has come."""
        return self._requested.is_set()

    def _wait(self) -> None:
        # Not sigtimedwait: when it is interrupted late, Python returns whatever lay on the stack.
        while True:
            number = signal.sigwait(_SIGNALS)
            with self._answering:
                if not self._left:
                    self._take(signal.Signals(number).name)

    def _take(self, name: str) -> None:
        if not self._deferred.is_set():
            _say(
                ExitCode.STOPPED.last_line(
                    f"{name} before training began; nothing to save; the same command starts again"
                )
            )
            os._exit(ExitCode.STOPPED)
        is_known = self.requested()
        self._requested.set()  # first: a line that cannot be written must not lose the signal
        _say(f"{name}: already stopping" if is_known else f"{name}: stopping after a save")


def stopped(step: int, total_steps: int, where: str) -> RunError:
    """Return the end of a run that a signal stopped after a save."""
    return RunError(
        ExitCode.STOPPED,
        f"by a signal after step {step} of {total_steps}; state saved in {where}; the same command "
        "goes on from there",
    )


def _say(line: str) -> None:
    with contextlib.suppress(OSError):  # a closed pipe, a full disk: the run is more than its log
        print(line, file=sys.stderr, flush=True)
