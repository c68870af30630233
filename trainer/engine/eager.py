"""Python in place of graphs, for `--debug`; and the Python of a trace that nobody wants to see."""

import contextlib
import io
import sys
from collections.abc import Iterator

import tensorflow as tf


@contextlib.contextmanager
def functions_eager() -> Iterator[None]:
    """Let a `tf.function` of the user's run as Python meanwhile."""
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)


@contextlib.contextmanager
def muted() -> Iterator[None]:
    """Pass over `print` and `breakpoint()` meanwhile: what is only traced has no values to show."""
    stopping = sys.breakpointhook
    sys.breakpointhook = lambda *_, **__: None
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        sys.breakpointhook = stopping
