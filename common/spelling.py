"""Did you mean: the nearest allowed name for one that does not exist."""

import difflib
from collections.abc import Iterable


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """Return "did you mean 'x'?" with the allowed word most like `word`; "" where none is."""
    close = difflib.get_close_matches(word, list(allowed), n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else ""


def unknown(what: str, word: str, allowed: Iterable[str]) -> str:
    """Return one line that refuses `word` and names the nearest allowed word, or all of them."""
    options = sorted(allowed)
    hint = did_you_mean(word, options) or f"allowed: {', '.join(options)}"
    return f"{what} {word!r} does not exist; {hint}"
