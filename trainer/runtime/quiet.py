"""Keeps TensorFlow's notes about itself out of the log while it starts.

They are printed by the libraries' own start-up code, before any setting for them is read, and would
stand between the user and our lines. Whatever else is printed meanwhile is passed on.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator

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
            held.seek(0)
            for line in held:
                if not any(note in line for note in _NOTES):
                    os.write(2, line)
