"""The logs of all pods of a job while it runs: one thread a pod, reconnected, nothing twice."""

import queue
import threading
import time
from collections.abc import Iterator

from common.exit_codes import ExitCode, RunError
from launch.backend import Print
from launch.kubernetes.api_errors import NotFoundError
from launch.kubernetes.cluster import Cluster
from launch.kubernetes.pod_state import (
    failed_before,
    has_started,
    stuck,
    trainer_state,
    worker_name,
)
from launch.spec.documents import Document, mapping
from launch.spec.labels import CONTAINER

# The time of the last line given, and how many lines of that time were given.
Place = tuple[str, int]
_RECONNECT_SECS = 1.0
_FINISH_SECS = 30.0
_WAITS = "the worker has not started"


class PodLogs:
    """Collects lines from many pods.

    Args:
        cluster: the API server.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._threads: dict[str, threading.Thread] = {}
        self._over = threading.Event()

    def follow(self, pod: Document) -> None:
        """Starts to read a pod's log, once."""
        name = pod["metadata"]["name"]
        if name not in self._threads:
            thread = threading.Thread(target=self._read, args=(pod,), daemon=True)
            self._threads[name] = thread
            thread.start()

    def drain(self, out: Print, secs: float) -> None:
        """Gives lines as they come, for this many seconds."""
        until = time.monotonic() + secs
        while (left := until - time.monotonic()) > 0:
            try:
                out(self._lines.get(timeout=left))
            except queue.Empty:
                return

    def finish(self, out: Print) -> None:
        """Gives what is left of every log; the pods have ended."""
        self._over.set()
        until = time.monotonic() + _FINISH_SECS
        for thread in self._threads.values():
            thread.join(max(0.0, until - time.monotonic()))
        while not self._lines.empty():
            out(self._lines.get())

    def _read(self, pod: Document) -> None:
        path = _path(pod)
        prefix = f"[{worker_name(pod)}] "
        seen = ("", 0)
        while True:
            try:
                # Asked before the log is read: what an ended pod wrote is then in the log.
                ended = self._over.is_set() or self._has_ended(path)
                seen = self._read_from(path, prefix, seen)
            except RunError as error:
                if error.code == ExitCode.TRANSIENT and not self._over.wait(_RECONNECT_SECS):
                    continue
                for line in _explain_missing(pod, error):
                    self._lines.put(prefix + line)
                return
            if ended:
                return
            self._over.wait(_RECONNECT_SECS)

    def _read_from(self, path: str, prefix: str, seen: Place) -> Place:
        """Reads one stream; a new one goes on where the last one broke off."""
        query = {"container": CONTAINER, "follow": "true", "timestamps": "true"}
        moment, given = seen
        if moment:
            query["sinceTime"] = f"{moment}Z"
        again, caught_up = given, not moment
        for line in self._cluster.lines(f"{path}/log", **query):
            stamp, _, text = line.partition(" ")
            now = _moment(stamp)
            if not caught_up and (now < moment or (now == moment and again)):
                again -= now == moment
                continue
            caught_up = True
            moment, given = now, (given + 1 if now == moment else 1)
            self._lines.put(prefix + text)
        return moment, given

    def _has_ended(self, path: str) -> bool:
        try:
            return "terminated" in trainer_state(self._cluster.get(path))
        except NotFoundError:
            return True


def lines_of(cluster: Cluster, pod: Document) -> Iterator[str]:
    """What a pod's log holds now, or why there is none."""
    if not has_started(pod):
        failed = failed_before(pod)
        yield f"no log{'' if failed else ' yet'}: {failed or stuck(pod) or _WAITS}"
        return
    try:
        yield from cluster.lines(f"{_path(pod)}/log", container=CONTAINER)
    except RunError as error:
        yield from _explain_missing(pod, error)


def _explain_missing(pod: Document, error: RunError) -> list[str]:
    """Why the log of a pod that ran is gone, and the last lines that its status kept."""
    kept = str(mapping(trainer_state(pod), "terminated").get("message", "")).splitlines()
    return [f"the log is gone with its pod or node ({error.reason})", *kept]


def _moment(stamp: str) -> str:
    """A time of the log with its trailing zeros, so that texts compare as times do."""
    seconds, _, fraction = stamp.rstrip("Z").partition(".")
    return f"{seconds}.{fraction:0<9}"


def _path(pod: Document) -> str:
    metadata = pod["metadata"]
    return f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
