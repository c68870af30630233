"""The findings of the linter: one line each, with a level."""

import dataclasses
import enum
from collections.abc import Callable


class Level(enum.StrEnum):
    """How grave a finding is."""

    ERROR = "error"  # will not work
    WARNING = "warning"  # may not work
    STYLE = "style"  # works, and is not how Lockstep writes its own manifests
    NOTE = "note"  # no fault: what was not examined, what the cluster has to hold

    @property
    def rank(self) -> int:
        """Its place in the order, the gravest first, from 0."""
        return list(Level).index(self)


@dataclasses.dataclass(frozen=True)
class Finding:
    """One fault of a manifest.

    Attributes:
        where: kind, name and path of the field.
        problem: what is wrong, with the value, and what follows from it.
        fix: what to write instead.
        level: how grave it is.
    """

    where: str
    problem: str
    fix: str
    level: Level = Level.ERROR

    def __str__(self) -> str:
        """One line for people."""
        return f"{self.level}: {self.where}: {self.problem}; {self.fix}"


Maker = Callable[[str, str, str], Finding]
"""Makes a finding of one level from where, problem and fix."""


def error(where: str, problem: str, fix: str) -> Finding:
    """A fault with which it will not work."""
    return Finding(where, problem, fix)


def warning(where: str, problem: str, fix: str) -> Finding:
    """A fault with which it may not work."""
    return Finding(where, problem, fix, Level.WARNING)


def style(where: str, problem: str, fix: str) -> Finding:
    """A convention of Lockstep's manifests that is not kept."""
    return Finding(where, problem, fix, Level.STYLE)


def note(where: str, problem: str, fix: str) -> Finding:
    """Something to know that is no fault."""
    return Finding(where, problem, fix, Level.NOTE)
