"""Many names in one line."""

from collections.abc import Sequence


def listed(names: Sequence[str], most: int) -> str:
    """Return the first `most` names, and the number of the others: "a, b and 3 more"."""
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest
