"""All workers find each other before TensorFlow starts, which would wait in silence; stdlib only.

Every worker listens on its own address, connects to all others, and compares notes: the cluster,
the config, and who is who. Then it frees the port for TensorFlow.
"""

import contextlib
import errno
import hashlib
import json
import socket
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from common.cluster_description import Cluster
from common.exit_codes import ExitCode, RunError
from trainer import failpoints

_RETRY_SECS = 0.3
_REPORT_SECS = 5.0
_CONNECT_SECS = 3.0
_BUSY_SECS = 5.0
"""A port may still be held by the process that is being replaced."""
_LONGEST_NOTE = 1024


def meet(cluster: Cluster, config: dict[str, Any], deadline_secs: float, *, data: str = "") -> None:
    """Return when every worker has reached every other one.

    Args:
        cluster: of the run.
        config: plain; all workers must have the same.
        deadline_secs: from now on.
        data: fingerprint of the data; all workers must have the same.

    Raises:
        RunError: HANG naming who is missing at the deadline; BAD_CONFIG where the port of this
            worker is taken or another worker was given another description.
    """
    if cluster.num_workers == 1:
        return
    meeting = _Meeting(cluster, config, data, time.monotonic() + deadline_secs)
    with meeting.listening():
        failpoints.reach("rendezvous.listening")
        for index in meeting.others:
            threading.Thread(target=meeting.reach, args=(index,), daemon=True).start()
        meeting.wait(deadline_secs)


class _Meeting:
    def __init__(
        self, cluster: Cluster, config: dict[str, Any], data: str, deadline: float
    ) -> None:
        self.others = [i for i in range(cluster.num_workers) if i != cluster.index]
        self._cluster = cluster
        self._deadline = deadline
        self._note = {
            "cluster": _digest(list(cluster.workers)),
            "config": _digest(config),
            "data": data[:16],
            "worker": cluster.index,
        }
        self._trouble = dict.fromkeys(self.others, "not tried")
        self._reached: set[int] = set()
        self._heard: set[int] = set()
        self._refusal = ""
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Answer others at this worker's port."""
        with self._bind() as server:
            threading.Thread(target=self._serve, args=(server,), daemon=True).start()
            try:
                yield
            finally:
                with contextlib.suppress(OSError):
                    server.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts

    def reach(self, index: int) -> None:
        """Connect to worker `index` until it answers."""
        while time.monotonic() < self._deadline and index not in self._reached:
            try:
                with socket.create_connection(
                    _host_and_port(self._cluster.workers[index]), _CONNECT_SECS
                ) as link:
                    self._compare(_exchange(link, self._note), index)
                    with self._changed:
                        self._reached.add(index)
                        self._changed.notify()
            except (OSError, ValueError) as error:
                self._trouble[index] = _describe(error)
                time.sleep(_RETRY_SECS)

    def wait(self, deadline_secs: float) -> None:
        """Wait for all; say now and then who is missing."""
        report_at = time.monotonic() + _REPORT_SECS / 5
        with self._changed:
            while missing := self._missing():
                left = self._deadline - time.monotonic()
                if left <= 0:
                    raise RunError(
                        ExitCode.HANG,
                        f"{'; '.join(missing)} after {deadline_secs:.0f} s; start the missing "
                        "workers, correct TF_CONFIG, or raise --startup_deadline_secs",
                    )
                if time.monotonic() > report_at:
                    report_at = time.monotonic() + _REPORT_SECS
                    for line in missing:
                        print(f"waiting for {line}, {left:.0f} s left", file=sys.stderr, flush=True)
                self._changed.wait(min(left, 0.5))

    def _missing(self) -> list[str]:
        if self._refusal:
            raise RunError(ExitCode.BAD_CONFIG, self._refusal)
        lines = []
        for index in self.others:
            if index not in self._reached:
                lines.append(f"{self._name(index)} {self._trouble[index]}")
            elif index not in self._heard:
                lines.append(f"{self._name(index)} answers, but does not reach this worker")
        return lines

    def _name(self, index: int) -> str:
        cluster = self._cluster
        return f"worker {index} of {cluster.num_workers}: {cluster.workers[index]}"

    def _bind(self) -> socket.socket:
        address = self._cluster.workers[self._cluster.index]
        port = _host_and_port(address)[1]
        until = min(time.monotonic() + _BUSY_SECS, self._deadline)
        while True:
            try:
                return socket.create_server(("", port))
            except OSError as error:
                if error.errno != errno.EADDRINUSE or time.monotonic() > until:
                    raise RunError(
                        ExitCode.BAD_CONFIG,
                        f"{self._name(self._cluster.index)} (this one): port {port}: "
                        f"{error.strerror}; end what listens there, or correct TF_CONFIG: its "
                        "task.index must differ on every worker",
                    ) from error
            time.sleep(_RETRY_SECS)

    def _serve(self, server: socket.socket) -> None:
        with contextlib.suppress(OSError):  # closed when all have met
            while True:
                link, _ = server.accept()
                threading.Thread(target=self._answer, args=(link,), daemon=True).start()

    def _answer(self, link: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), link:
            link.settimeout(_CONNECT_SECS)
            theirs = _exchange(link, self._note)
            self._compare(theirs, theirs["worker"])
            with self._changed:
                self._heard.add(theirs["worker"])
                self._changed.notify()

    def _compare(self, theirs: dict[str, Any], index: int) -> None:
        """Note a refusal if the other worker is not who it should be."""
        who = self._name(index) if index in self._trouble else f"a worker that says it is {index}"
        if theirs["cluster"] != self._note["cluster"]:
            problem = "has another list of workers: a stale or different TF_CONFIG"
        elif theirs["worker"] != index or index not in self._trouble:
            problem = f"says it is worker {theirs['worker']}: correct task.index in TF_CONFIG"
        elif theirs["config"] != self._note["config"]:
            problem = "has another config: start all workers with the same command line"
        elif theirs["data"] != self._note["data"]:
            problem = (
                "has other data under config.dataset: bring the same files to all workers; where a "
                "function makes them, give a seed to all that it draws or shuffles"
            )
        else:
            return
        with self._changed:
            self._refusal = f"{who} {problem}"
            self._changed.notify()
        raise ValueError(problem)


def _exchange(link: socket.socket, note: dict[str, Any]) -> dict[str, Any]:
    link.sendall(json.dumps(note).encode() + b"\n")
    with link.makefile("rb") as file:
        theirs = json.loads(file.readline(_LONGEST_NOTE) or b"null")
    if not isinstance(theirs, dict) or not isinstance(theirs.get("worker"), int):
        raise ValueError("answers, but not as a worker of this program")
    return {"cluster": "", "config": "", "data": "", **theirs}


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def _describe(error: Exception) -> str:
    if isinstance(error, socket.gaierror):
        return "cannot be resolved"
    if isinstance(error, ConnectionRefusedError):
        return "refused"
    if isinstance(error, TimeoutError):
        return "does not answer"
    return str(error) or type(error).__name__
