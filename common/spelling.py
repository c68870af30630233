"""Did you mean: the nearest allowed names for one that does not exist."""

import difflib
from collections.abc import Iterable


def nearest(word: str, allowed: Iterable[str], count: int = 1) -> list[str]:
    """Up to `count` allowed words that look most like `word`, best first."""
    return difflib.get_close_matches(word, list(allowed), n=count, cutoff=0.5)


def unknown(what: str, word: str, allowed: Iterable[str]) -> str:
    """One line that refuses `word` and names the nearest allowed word, or all of them."""
    options = sorted(allowed)
    guess = nearest(word, options)
    hint = f"did you mean {guess[0]!r}?" if guess else f"allowed: {', '.join(options)}"
    return f"{what} {word!r} does not exist; {hint}"
