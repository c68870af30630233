"""CronJobs: a schedule that can be read, and runs that do not meet each other."""

import re
import zoneinfo
from collections.abc import Iterator
from itertools import pairwise

from launch.lint.finding import Finding, error, warning
from launch.lint.slips import did_you_mean
from launch.spec.documents import Document, mapping, title, whole

_MACROS = {"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"}
_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 7))
_WORDS = {
    "month": ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    "weekday": ["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
}
_PART = re.compile(r"(\*|\?|(\d+)(?:-(\d+))?)(?:/(\d+))?")
_LONGEST_NAME = 52


def check_schedules(document: Document) -> Iterator[Finding]:
    """All rules on a CronJob itself."""
    if document.get("kind") != "CronJob":
        return
    spec, where = mapping(document, "spec"), f"{title(document)} spec"
    schedule = str(spec.get("schedule", ""))
    if problem := _fault(schedule):
        yield error(f"{where}.schedule", f"{schedule!r}: {problem}", "for example '30 2 * * *'")
    zone, known = spec.get("timeZone"), zoneinfo.available_timezones()
    if zone is not None and known and zone not in known:
        yield error(
            f"{where}.timeZone",
            f"no time zone is called {zone!r}: it is refused",
            did_you_mean(str(zone), known) or "for example Etc/UTC",
        )
    if "TZ=" in schedule:
        yield error(f"{where}.schedule", "has a time zone: it is refused", "use timeZone")
    name = str(mapping(document, "metadata").get("name", ""))
    if len(name) > _LONGEST_NAME:
        yield error(
            f"{title(document)} metadata.name",
            f"has {len(name)} characters; its Jobs need 11 more: it is refused",
            f"use at most {_LONGEST_NAME}",
        )
    deadline = spec.get("startingDeadlineSeconds")
    if deadline is not None and whole(deadline, 10) < 10:
        yield warning(
            f"{where}.startingDeadlineSeconds",
            f"{deadline} is below 10: the controller looks every 10 seconds and may miss each run",
            "use 10 or more",
        )
    if spec.get("suspend") is True:
        yield warning(f"{where}.suspend", "no run ever starts", "leave it out")


def _fault(schedule: str) -> str:
    """What is wrong with a schedule, or ""."""
    if schedule.startswith("@"):
        is_known = schedule in _MACROS or re.fullmatch(r"@every (\d+[hms])+", schedule)
        return "" if is_known else f"no schedule is called so; one of {sorted(_MACROS)}"
    parts = schedule.split()
    parts = parts[1:] if "TZ=" in schedule else parts
    if len(parts) != len(_FIELDS):
        return f"{len(parts)} fields; it needs 5: minute hour day month weekday"
    for text, (name, low, high) in zip(parts, _FIELDS, strict=True):
        for part in text.lower().split(","):
            if not _fits(part, name, low, high):
                return f"{part!r} is no {name} of {low} to {high}"
    return ""


def _fits(part: str, name: str, low: int, high: int) -> bool:
    for number, word in enumerate(_WORDS.get(name, ()), start=low):
        part = part.replace(word, str(number))
    found = _PART.fullmatch(part)
    if not found:
        return False
    first, last, step = (int(one) if one else None for one in found.groups()[1:])
    inside = all(low <= one <= high for one in (first, last) if one is not None)
    return inside and step != 0 and not (last is not None and first is not None and first > last)


def interval_secs(schedule: str) -> int:
    """About how long it is from one run to the next, at least, seconds; 0 where it is not known."""
    if schedule.startswith("@"):
        known = {"@hourly": 3600, "@weekly": 604800, "@monthly": 2419200}
        return known.get(schedule, 86400 if schedule in _MACROS else 0)
    parts = schedule.split()
    if len(parts) != len(_FIELDS) or _fault(schedule):
        return 0
    minutes = _values(parts[0], 60)
    hours = _values(parts[1], 24)
    starts = [hour * 60 + minute for hour in hours for minute in minutes]
    gaps = [after - before for before, after in pairwise([*starts, starts[0] + 1440])]
    return min(gaps) * 60


def _values(text: str, size: int) -> list[int]:
    found: set[int] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            return list(range(size))
        first, last, step = (int(one) if one else None for one in match.groups()[1:])
        start = first or 0
        end = last if last is not None else (start if first is not None and not step else size - 1)
        found |= set(range(start, end + 1, step or 1))
    return sorted(found) or [0]
