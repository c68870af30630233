"""Misspelt names: one that differs from another by a letter or two, and means that one."""

from collections.abc import Iterable

_SHORT = 6


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """Return "did you mean 'x'?" for the allowed word of which this is a slip; "" for none."""
    known = list(allowed)
    found = min((one for one in known if is_slip(word, one)), default="")
    found = "" if word in known else found
    return f"did you mean {found!r}?" if found else ""


def is_slip(word: str, meant: str) -> bool:
    """Whether one name may be the other with a slip of the hand: no word more, none less."""
    if word == meant or _differ_in_number(word, meant):
        return False
    plain = [text.lower().replace("_", "-") for text in (word, meant)]
    if plain[0] == plain[1] or sorted(plain[0]) == sorted(plain[1]):
        return True
    return distance(word, meant) <= (1 if min(len(word), len(meant)) < _SHORT else 2)


def _differ_in_number(one: str, other: str) -> bool:
    """Whether only digits are different: names of a series, not slips."""
    letters = [word.translate({ord(d): None for d in "0123456789"}) for word in (one, other)]
    return letters[0] == letters[1]


def distance(one: str, other: str) -> int:
    """How many letters have to be added, dropped or changed."""
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, start=1):
        last, row[0] = row[0], i
        for k, wanted in enumerate(other, start=1):
            last, row[k] = row[k], min(row[k] + 1, row[k - 1] + 1, last + (letter != wanted))
    return row[-1]
