"""Keeps TensorFlow's notes about itself out of the log while it starts.

They are printed by the libraries' own start-up code, before any setting for them is read, and would
stand between the user and our lines. Whatever else is printed meanwhile is passed on.
"""

import contextlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from typing import TextIO

_RETRACED = "triggered tf.function retracing"
_NOTES = (
    b"I0000 ",
    b"WARNING: All log messages before absl::InitializeLog()",
    b"failed call to cuInit",  # said on every machine without a GPU driver
)


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """Hold what libraries write to standard error; pass it on at the end without the notes.

    What Python writes goes out at once: a signal or a deadline may end the process in here.
    """
    with tempfile.TemporaryFile() as held, os.fdopen(os.dup(2), "w") as direct:
        os.dup2(held.fileno(), 2)
        try:
            with contextlib.redirect_stderr(direct):
                yield
        finally:
            os.dup2(direct.fileno(), 2)
            _move_handlers(direct)
            held.seek(0)
            for line in held:
                if not any(note in line for note in _NOTES):
                    os.write(2, line)


def several_runs() -> None:
    """Leave out TensorFlow's advice on functions that are traced often: each run traces its own."""
    logger = logging.getLogger("tensorflow")
    if _is_no_advice not in logger.filters:
        logger.addFilter(_is_no_advice)


def _is_no_advice(record: logging.LogRecord) -> bool:
    return _RETRACED not in str(record.msg)


def _move_handlers(stream: TextIO) -> None:
    """Give those who were told to log to `stream`, which is about to be closed, the real one."""
    for name in ("tensorflow", "absl", None):
        for handler in logging.getLogger(name).handlers:
            if isinstance(handler, logging.StreamHandler) and handler.stream is stream:
                handler.setStream(sys.stderr)
