"""Why a run ended: the one enum from which docs, manifests and retry policies are generated."""

import enum
import re
from collections.abc import Mapping, Sequence
from typing import Any

_USER = r"://[^/@\s]+@"
_LOGIN = r"://[^/\s:@]*:(?!\d+/)[^\s@]+@"
# Who holds a signed URL needs no password.
_SIGNED = (
    r"[?&](?:x-(?:amz|goog)-(?:signature|credential|security-token)|sig|signature"
    r"|(?:access_)?token|api_?key|password|secret)=[^&\s'\"]+"
)
_SECRET = re.compile(f"{_LOGIN}|{_SIGNED}", re.IGNORECASE)
_HIDDEN = re.compile(f"{_LOGIN}|{_USER}|({_SIGNED})", re.IGNORECASE)
_SECRET_NAME = re.compile(
    r"(^|[_.-])(secrets?|passwords?|passwd|token|credentials?"
    r"|(api|access|account|private|secret|shared|signing)_?keys?)$",
    re.IGNORECASE,
)


class ExitCode(enum.IntEnum):
    """Exit code of a trainer process. Every code that may be retried is >= 128."""

    meaning: str
    advice: str

    def __new__(cls, value: int, meaning: str, advice: str) -> "ExitCode":
        """Attach the meaning and the advice to the number."""
        code = int.__new__(cls, value)
        code._value_ = value
        code.meaning = meaning
        code.advice = advice
        return code

    DONE = 0, "done", "nothing to do"
    BAD_FLAG = 64, "bad flag", "correct the command line"
    BAD_DATA = 65, "data corrupt, or every checkpoint corrupt", "repair or replace the named file"
    BUG = 70, "bug, or divergence after the rollback budget", "read the log above the last line"
    BAD_CONFIG = (
        78,
        "bad config, cluster description, or checkpoint that does not match the model",
        "correct the named field",
    )
    STOPPED = 143, "stopped by SIGTERM, state saved", "start the same command to go on"
    TRANSIENT = (
        200,
        "storage or network transient, retry budget spent",
        "start the same command to go on; check the storage if it repeats",
    )
    PEER_LOST = 201, "peer lost", "restart all workers; look at the worker that left first"
    HANG = 202, "hang, or start-up deadline", "read the stacks in the log of the worker named"

    @property
    def retriable(self) -> bool:
        """Whether the same command may succeed when it is started again."""
        return self >= 128

    def last_line(self, reason: str) -> str:
        """Return the line by which a process says why it ends."""
        return f"{self.name.lower()} ({int(self)}): {redact(reason)}"


def holds_secret(text: str) -> bool:
    """Whether an address in the text carries a password or a signature."""
    return bool(_SECRET.search(text))


def is_secret_name(name: str) -> bool:
    """Whether a variable, flag or field of this name is expected to hold a secret."""
    return bool(_SECRET_NAME.search(name))


def find_secret(name: str, value: Any) -> str:
    """Return the path to the first text in a nested value that is a secret; "" where none is.

    A text is one by what it is (`holds_secret`) or by what its place is called; a number is a size.
    """
    if isinstance(value, str):
        named = is_secret_name(name) and value and not value.isdecimal()
        return name if named or holds_secret(value) else ""
    inner: list[tuple[str, Any]] = []
    if isinstance(value, Mapping):
        inner = [(f"{name}.{key}", each) for key, each in value.items()]
    elif isinstance(value, Sequence):
        inner = [(f"{name}[{index}]", each) for index, each in enumerate(value)]
    return next(filter(None, (find_secret(*each) for each in inner)), "")


def redact(text: str) -> str:
    """Return the text without user, password and signature of the addresses in it.

    An error repeats what was typed, and its line goes into logs.
    """
    return _HIDDEN.sub(lambda found: "" if found[1] else "://", text)


class RunError(Exception):
    """An end that the user can act on: becomes one last line and an exit code, never a traceback.

    Args:
        code: the exit code of the process.
        reason: one line: what was wrong, where, the value, what to change.
    """

    def __init__(self, code: ExitCode, reason: str) -> None:
        line = redact(" ".join(reason.split()))
        super().__init__(line)
        self.code = code
        self.reason = line
