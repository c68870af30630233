"""Names of variables as people write them: paths, and patterns of paths."""

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase

from common import spelling
from common.exit_codes import ExitCode, RunError

_INDEX = re.compile(r"/\d{3,}(?=/)")


def by_path(names: Iterable[str]) -> dict[str, str]:
    """Return path -> name in a checkpoint: "main/dense/kernel" -> "main/003/dense/kernel".

    The place of a variable in its model says little to a person, and nothing of another model. Of
    several variables with one path the second is "path#2".
    """
    found: dict[str, str] = {}
    for name in names:
        path, count = _INDEX.sub("", name, count=1), 1
        unique = path
        while unique in found:
            count += 1
            unique = f"{path}#{count}"
        found[unique] = name
    return found


def fits(path: str, pattern: str) -> bool:
    """Whether a pattern names a variable: its path, or the beginning of it up to a `/`.

    The role may be left out: "dense", "main/dense" and "*/kernel" fit "main/dense/kernel".
    """
    shorter = path.partition("/")[2]
    return any(fnmatchcase(p, end) for p in (path, shorter) for end in (pattern, f"{pattern}/*"))


def fits_any(path: str, patterns: Iterable[str]) -> bool:
    """Whether one of the patterns names a variable."""
    return any(fits(path, pattern) for pattern in patterns)


def refuse_idle(patterns: Iterable[str], paths: Iterable[str], field: str) -> None:
    """Refuse a pattern that names nothing.

    Raises:
        RunError: BAD_CONFIG with the nearest path.
    """
    known = list(paths)
    for pattern in patterns:
        if not any(fits(path, pattern) for path in known):
            near = spelling.did_you_mean(pattern, _beginnings(known))
            raise RunError(
                ExitCode.BAD_CONFIG,
                f"config.{field}: {pattern!r} names no variable; "
                f"{near or f'variables: {_listed(known)}'}",
            )


def _beginnings(paths: Iterable[str]) -> list[str]:
    """Return what may be written for the paths, without their roles: "dense", "dense/kernel"."""
    parts = (path.split("/")[1:] for path in paths)
    return list(dict.fromkeys("/".join(p[: n + 1]) for p in parts for n in range(len(p))))


def _listed(paths: list[str], most: int = 8) -> str:
    return ", ".join(paths[:most]) + (", ..." if len(paths) > most else "")
