"""From the events of a local job to its state: what `diagnosis` is for a cluster."""

import datetime
from collections.abc import Sequence

from launch.local.job_folder import Event, JobFolder
from launch.local.logs import last_lines
from launch.spec.status import Ended, Failure, Phase, failure_of_exit, first_ended


def phase_of(events: Sequence[Event], alive: bool, count: int) -> tuple[Phase, str]:
    """The phase and one phrase on it.

    Args:
        events: all so far.
        alive: whether the supervisor was alive before they were read.
        count: how many workers or trials there are.
    """
    ends = [event for event in events if event["event"] == "end"]
    if ends:
        return ends[-1]["phase"], ends[-1]["reason"]
    if not alive:
        # Workers outlive a killed supervisor, and two runs must not share a workdir.
        advice = "`launch cancel` ends what it left; then submit again with the same --workdir"
        return "lost", f"the machine or the supervisor stopped; {advice}"
    running: set[str] = set()
    for event in events:
        if event["event"] == "start":
            running.add(event["worker"])
        elif event["event"] == "exit":
            running.discard(event["worker"])
    return ("running" if running else "starting"), f"{len(running)} of {count} running"


def first_failure(events: Sequence[Event], folder: JobFolder) -> Failure | None:
    """The worker that failed first in the newest attempt that had a failure.

    A trial that succeeded after all is passed over: attempts are counted for each trial.
    """
    healed = {f"trial {index}" for index, code in newest_exits(events).items() if code == 0}
    failed = [
        event
        for event in events
        if event["event"] == "exit" and event["code"] and not event["told_to_stop"]
        if event["worker"] not in healed
    ]
    ended = [Ended(event["attempt"], event["code"], event["worker"]) for event in failed]
    if (first := first_ended(ended)) is None or first.code is None:
        return None
    log = folder.log(first.source.replace(" ", "-"), first.attempt)
    return failure_of_exit(first.source, first.attempt, first.code, last_lines(log))


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
            failure = failure_of_exit(event["worker"], event["attempt"], event["code"], ())
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
