"""`--profile=START:STEPS`: a trace of those steps for TensorBoard."""

import contextlib
import dataclasses
import pathlib
from collections.abc import Iterator

from common.exit_codes import ExitCode, RunError


@dataclasses.dataclass(frozen=True)
class Span:
    """Steps first, ..., last - 1."""

    first: int
    last: int

    def most(self, step: int, most: int) -> int:
        """Return how many of at most `most` steps a call at `step` may make."""
        ahead = [boundary - step for boundary in (self.first, self.last) if boundary > step]
        return min([most, *ahead])


NOTHING = Span(0, 0)


def parse(text: str) -> Span:
    """Return the steps that the flag names; an empty one names none.

    Raises:
        RunError: BAD_FLAG where it is not START:STEPS.
    """
    if not text:
        return NOTHING
    first, _, count = text.partition(":")
    if not (first.isdecimal() and count.isdecimal() and int(count)):
        raise RunError(
            ExitCode.BAD_FLAG, f"--profile={text!r}: write START:STEPS, such as 100:20 (STEPS >= 1)"
        )
    return Span(int(first), int(first) + int(count))


class Profiler:
    """Traces the calls of the inner loop that lie in a span.

    Args:
        span: of steps.
        folder: of TensorBoard.
    """

    def __init__(self, span: Span, folder: pathlib.Path) -> None:
        self.span = span
        self._folder = folder
        self._is_open = False
        self._is_new = False

    @contextlib.contextmanager
    def call(self, step: int, num_steps: int) -> Iterator[None]:
        """Run one call of the inner loop; it does not cross a boundary of the span."""
        from tensorflow import profiler

        if not self._is_open and self.span.first <= step < self.span.last:
            profiler.experimental.start(str(self._folder))
            self._is_open = True
        yield
        if self._is_open and step + num_steps >= self.span.last:
            self.close()

    def close(self) -> None:
        """Write the trace, also of a run that stops within the span."""
        from tensorflow import profiler

        if self._is_open:
            profiler.experimental.stop()
            self._is_open, self._is_new = False, True

    def has_ended(self) -> bool:
        """Return whether a trace was written since this was last asked."""
        ended, self._is_new = self._is_new, False
        return ended
