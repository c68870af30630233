"""From the events of a local job to its state: what `diagnosis` is for a cluster."""

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from launch.local.job_folder import Event, JobFolder
from launch.local.logs import last_lines
from launch.spec.causes import Failure, failure_of_exit, newest_root
from launch.spec.status import Phase


def phase_of(
    events: Sequence[Event], alive: bool, count: int, orphans: Sequence[Mapping[str, Any]] = ()
) -> tuple[Phase, str]:
    """The phase and one phrase on it.

    Args:
        events: all so far.
        alive: whether the supervisor was alive before they were read.
        count: how many workers or trials there are.
        orphans: the starts of workers that still run though the supervisor does not.
    """
    ends = [event for event in events if event["event"] == "end"]
    if ends:
        return ends[-1]["phase"], ends[-1]["reason"]
    if not alive:
        # Workers outlive a killed supervisor, and two runs must not share a workdir.
        again = "submit again with the same --workdir"
        if not orphans:
            return "lost", f"the machine or the supervisor stopped, and its workers; {again}"
        left = ", ".join(f"{event['worker']} (process {event['pid']})" for event in orphans)
        advice = f"`launch cancel` ends what it left; then {again}"
        return "lost", f"the supervisor was killed, and {left} still runs without it; {advice}"
    running: set[str] = set()
    for event in events:
        if event["event"] == "start":
            running.add(event["worker"])
        elif event["event"] == "exit":
            running.discard(event["worker"])
    return ("running" if running else "starting"), f"{len(running)} of {count} running"


def failures(events: Sequence[Event], folder: JobFolder) -> tuple[Failure | None, tuple[str, ...]]:
    """What explains the newest attempt that failed, with its last lines, and each one before it."""
    failed = [
        failure_of_exit(event["worker"], event["attempt"], event["code"])
        for event in events
        if event["event"] == "exit" and event["code"] and not event["told_to_stop"]
    ]
    shown, earlier = newest_root(_attempts(failed, events))
    if shown is not None:
        log = folder.log(shown.worker.replace(" ", "-"), shown.attempt)
        shown = dataclasses.replace(shown, last_lines=last_lines(log))
    return shown, tuple(map(str, earlier))


def _attempts(failed: Sequence[Failure], events: Sequence[Event]) -> list[list[Failure]]:
    """The failures of each attempt; of a sweep the newest of each trial that has not succeeded."""
    if any(one.worker.startswith("trial") for one in failed):
        healed = {f"trial {index}" for index, code in newest_exits(events).items() if code == 0}
        newest = {one.worker: one for one in failed if one.worker not in healed}
        return [list(newest.values())]
    found: dict[int, list[Failure]] = {}
    for one in failed:
        found.setdefault(one.attempt, []).append(one)
    return [found[attempt] for attempt in sorted(found)]


def newest_exits(events: Sequence[Event]) -> dict[int, int]:
    """The newest exit code of every trial."""
    return {
        int(event["worker"].split()[1]): event["code"]
        for event in events
        if event["event"] == "exit"
    }


def news(event: Event, folder: JobFolder) -> str:
    """What followers are told of an event, or ""."""
    match event["event"]:
        case "exit" if event["code"]:
            failure = failure_of_exit(event["worker"], event["attempt"], event["code"])
            return f"{failure}{' (told to stop)' if event['told_to_stop'] else ''}"
        case "restart":
            kind = f"{event['total']} of {folder.spec().max_restarts}"
            return f"restart {kind if event['counted'] else '(not counted)'}"
        case "end":
            reason = f": {event['reason']}" if event["reason"] else ""
            return f"{folder.name} {event['phase']}{reason}"
    return ""


def submitted_at(events: Sequence[Event]) -> str:
    """When the job was submitted, ISO 8601, or "" while nobody wrote it down."""
    if not events:
        return ""
    return datetime.datetime.fromtimestamp(events[0]["time"], datetime.UTC).isoformat(
        timespec="seconds"
    )
