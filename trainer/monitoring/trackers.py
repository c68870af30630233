"""Sends what is final in `metrics.jsonl` to trackers, from threads that do not delay the run.

Trackers cannot take a number back, so they are sent a step only when no restart will write it
again: when a later checkpoint is durable, or at the end of the run.
"""

import functools
import json
import sys
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from common import files, redaction
from trainer import registry
from trainer.config import PartConfig, parts
from trainer.report.run_files import read_summary
from trainer.storage.failures import local_io

NAME = "trackers.json"
_POLL_SECS, _MOST_SECS, _LAST_SECS = 1.0, 60.0, 20.0
_MOST_REASON = 300
"""Characters of what a client says of a failure."""
_lock = threading.Lock()
"""Of `trackers.json`: each tracker has a thread."""


class Tracker(Protocol):
    """The interface of a tracker; it is constructed with the workdir and the args of its part."""

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Record all the numbers of a step; after a kill, those of the last one may be repeated."""

    def close(self) -> None:
        """Make durable what was written, at the end of a process.

        At the end of a run its summary, report and pictures are in the workdir by then.
        """


class Follower:
    """Sends every step to one tracker, in order and once; what fails is sent at the next start.

    Args:
        part: of the config.
        make: returns the tracker; called again after a failure.
        workdir: folder of the run.
        final_step: the last step of which no restart writes anything again, now.
    """

    def __init__(
        self,
        part: PartConfig,
        make: Callable[[], Tracker],
        workdir: Path,
        final_step: Callable[[], int],
    ) -> None:
        self._name, self._make, self._workdir = part.name, make, workdir
        self._final_step = final_step
        # With its arguments: of another server nothing is known yet.
        self._key = json.dumps([part.name, part.args], sort_keys=True, default=str)
        known = _read(workdir)["sent"].get(self._key, {})
        self._is_complete = known.get("is_complete", False)
        self._unsent = _Unsent(workdir / "metrics.jsonl", known.get("step", -1))
        self._tracker: Tracker | None = None
        self._is_last = threading.Event()
        self._told = ""
        self._thread = threading.Thread(target=self._follow, name=f"tracker {part.name}")
        self._thread.daemon = True
        self._thread.start()

    def close(self) -> None:
        """Send the rest; a tracker that does not accept it in time is abandoned."""
        self._is_last.set()
        self._thread.join(_LAST_SECS)
        if self._thread.is_alive() or self._told:
            self._say("does not take all; the same command sends the rest")

    def _follow(self) -> None:
        wait = _POLL_SECS
        while True:
            is_last = self._is_last.is_set()
            try:
                self._send(is_over=is_last and is_over(self._workdir))
                if is_last:
                    self._leave()
                wait, self._told = _POLL_SECS, ""
            except Exception as error:  # whatever a service, or its client, raises
                self._tracker, wait = None, min(_MOST_SECS, 2 * wait)
                self._complain(f"{type(error).__name__}: {error}")
            if is_last:
                return
            self._is_last.wait(wait)

    def _send(self, *, is_over: bool) -> None:
        for step, values in self._unsent.up_to(None if is_over else self._final_step()):
            self._tracker = self._tracker or self._make()
            self._tracker.write(step, values)
            self._unsent.forget(step)
            self._note(step=step, is_complete=False)

    def _leave(self) -> None:
        """Close the tracker; after the end of the run it is told of it, once."""
        if is_over(self._workdir) and not self._is_complete:
            self._tracker = self._tracker or self._make()
            self._tracker.close()
            self._note(step=self._unsent.after, is_complete=True)
        elif self._tracker:
            self._tracker.close()

    def _note(self, *, step: int, is_complete: bool) -> None:
        self._is_complete = is_complete
        with _lock:
            noted = _read(self._workdir)
            noted["sent"][self._key] = {"step": step, "is_complete": is_complete}
            files.write_text(self._workdir / NAME, json.dumps(noted), durable=True)

    def _complain(self, reason: str) -> None:
        reason = reason[:_MOST_REASON]
        if not self._told:  # once, not at every attempt
            self._say(f"{reason}; the run goes on, and it is told later")
        self._told = reason

    def _say(self, text: str) -> None:
        line = " ".join(f"tracker {self._name}: {text}".split())
        print(redaction.redact(line), file=sys.stderr, flush=True)


class _Unsent:
    """The numbers of the steps after one; the file is read on from where it was.

    Args:
        path: of `metrics.jsonl`.
        after: the last step that was sent.
    """

    def __init__(self, path: Path, after: int) -> None:
        self.after = after
        self._path, self._offset = path, 0
        self._steps: dict[int, dict[str, float]] = {}

    def up_to(self, step: int | None) -> list[tuple[int, dict[str, float]]]:
        """Return the steps that are complete, in order; None: all are."""
        with self._path.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):  # it is just being written
                    break
                self._offset += len(line)
                self._add(json.loads(line))
        return sorted((s, v) for s, v in self._steps.items() if step is None or s <= step)

    def forget(self, step: int) -> None:
        """It was sent."""
        self.after = step
        del self._steps[step]

    def _add(self, line: Mapping[str, Any]) -> None:
        step, values = line["step"], numbers(line)
        if step > self.after and values:
            self._steps.setdefault(step, {}).update(values)


def follow(
    trackers: Sequence[PartConfig], workdir: Path, final_step: Callable[[], int]
) -> list[Follower]:
    """Start a follower for each tracker of the config.

    Args:
        trackers: of the config.
        workdir: folder of the run.
        final_step: see `Follower`.

    Raises:
        RunError: BAD_CONFIG for a name that cannot be loaded, or arguments that it does not take.
    """
    made = []
    for index, part in enumerate(trackers):
        field = f"config.trackers[{index}]"
        found = registry.resolve(registry.TRACKERS, part.name, f"{field}.name")
        parts.bind(found, part, field, workdir)
        made.append((part, functools.partial(found, workdir, **part.args)))
    if made:
        with local_io(workdir, "--workdir"):
            _prepare(workdir)
    return [Follower(part, make, workdir, final_step) for part, make in made]


def numbers(line: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of a line of `metrics.jsonl` but its step."""
    found = {name: value for name, value in line.items() if isinstance(value, int | float)}
    return {name: value for name, value in found.items() if name != "step"}


def run_id(workdir: Path) -> str:
    """Return the name, 32 hexadecimal digits, that a run keeps over all its restarts."""
    return str(_read(workdir)["id"])


def is_over(workdir: Path) -> bool:
    """Whether the run in `workdir` has come to its end."""
    return read_summary(workdir).get("status", "stopped") != "stopped"


def _prepare(workdir: Path) -> None:
    """Give the run its id; where the file is lost, it becomes another run for its trackers."""
    try:
        run_id(workdir)
    except (OSError, ValueError, KeyError, TypeError):
        noted = {"id": uuid.uuid4().hex, "sent": {}}
        files.write_text(workdir / NAME, json.dumps(noted), durable=True)


def _read(workdir: Path) -> dict[str, Any]:
    """Return what `trackers.json` says: "id", and in "sent" how far each tracker is."""
    return dict(json.loads((workdir / NAME).read_text()))
