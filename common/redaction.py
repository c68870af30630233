"""Redaction: what a secret looks like, and texts without it. Neither a file nor a log holds one."""

import contextlib
import os
import re
import sys
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
# A shorter value is an ordinary word, and would be hidden wherever it is written.
_SHORTEST = 8


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


def hide(text: str, environment: Mapping[str, str]) -> str:
    """Return the text without secrets: in its addresses, and the values of variables that hold one.

    Messages of clients quote the token that was refused; `$NAME` stands in its place.
    """
    values = {v: n for n, v in environment.items() if is_secret_name(n) and len(v) >= _SHORTEST}
    # Longest first: one secret may begin with another, whose rest would stay behind.
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, f"${values[value]}")
    return redact(text)


def complain(text: str) -> None:
    """Print a text to the standard error, without the secrets of this process."""
    with contextlib.suppress(OSError):  # a closed pipe, a full disk: the exit code still says it
        print(hide(text, os.environ), file=sys.stderr, flush=True)
