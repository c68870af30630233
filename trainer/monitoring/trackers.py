"""Sends `metrics.jsonl` to trackers, from threads that neither stop nor slow the run."""

import contextlib
import functools
import itertools
import json
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from common import files, redaction
from trainer import registry
from trainer.config import PartConfig, parts

NAME = "trackers.json"
_POLL_SECS, _MOST_SECS, _LAST_SECS = 1.0, 60.0, 20.0


class Tracker(Protocol):
    """The interface of a tracker; it is constructed with the workdir and the args of its part."""

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Record `values` at `step`; after a kill, the last line may be repeated."""

    def close(self) -> None:
        """Make what was written durable; the summary and the report have been written."""


class Follower:
    """Sends every line to one tracker, in order; lines that fail are sent at the next start.

    A resumed run writes the lines after its checkpoint again, unchanged: those that were sent are
    not sent a second time.

    Args:
        name: of the tracker.
        make: returns it; called again after a failure.
        workdir: folder of the run.
    """

    def __init__(self, name: str, make: Callable[[], Tracker], workdir: Path) -> None:
        self._name, self._make, self._workdir = name, make, workdir
        self._sent = _read(workdir).get(name, 0)
        self._tracker: Tracker | None = None
        self._is_last = threading.Event()
        self._told = ""
        self._thread = threading.Thread(target=self._follow, name=f"tracker {name}", daemon=True)
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
                self._send()
                if is_last and self._tracker:
                    self._tracker.close()
                wait, self._told = _POLL_SECS, ""
            except Exception as error:  # whatever a service, or its client, raises
                self._tracker, wait = None, min(_MOST_SECS, 2 * wait)
                self._complain(f"{type(error).__name__}: {error}")
            if is_last:
                return
            self._is_last.wait(wait)

    def _send(self) -> None:
        for line in self._new_lines():
            self._tracker = self._tracker or self._make()
            step = line.pop("step")
            numbers = {n: v for n, v in line.items() if isinstance(v, int | float)}
            if numbers:
                self._tracker.write(step, numbers)
            self._sent += 1
            _write(self._workdir, self._name, self._sent)

    def _new_lines(self) -> Iterator[dict[str, Any]]:
        path = self._workdir / "metrics.jsonl"
        with path.open(encoding="utf-8") as file:
            for text in itertools.islice(file, self._sent, None):
                if text.endswith("\n"):  # another one is just being written
                    yield json.loads(text)

    def _complain(self, reason: str) -> None:
        if not self._told:  # once, not at every attempt
            self._say(f"{reason}; the run goes on, and it is told later")
        self._told = reason

    def _say(self, text: str) -> None:
        line = " ".join(f"tracker {self._name}: {text}".split())
        print(redaction.redact(line), file=sys.stderr, flush=True)


def follow(trackers: Sequence[PartConfig], workdir: Path) -> list[Follower]:
    """Start a follower for each tracker of the config.

    Raises:
        RunError: BAD_CONFIG for a name that cannot be loaded, or arguments that it does not take.
    """
    made = []
    for index, part in enumerate(trackers):
        field = f"config.trackers[{index}]"
        found = registry.resolve(registry.TRACKERS, part.name, f"{field}.name")
        parts.bind(found, part, field, workdir)
        made.append((part, found))
    return [
        Follower(part.name, functools.partial(found, workdir, **part.args), workdir)
        for part, found in made
    ]


_lock = threading.Lock()


def _read(workdir: Path) -> dict[str, int]:
    """Return tracker -> lines that it has taken."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        return dict(json.loads((workdir / NAME).read_text()))
    return {}


def _write(workdir: Path, name: str, sent: int) -> None:
    with _lock:  # each tracker has a thread
        files.write_text(workdir / NAME, json.dumps({**_read(workdir), name: sent}))
