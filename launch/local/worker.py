"""One worker process of a local job: its place in the cluster, its cores, its log."""

import contextlib
import os
import random
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from common import processes
from common.cluster_description import INDEX_VARIABLE, worker_env
from launch.spec.exit_policy import shell_code

# Below the range from which systems take ports for outgoing connections: nobody else is given one
# of these between the check and the moment when TensorFlow binds it.
_PORTS = range(20_000, 32_000)


class WorkerProcess:
    """A started worker.

    Args:
        name: for messages and logs, for example "worker 0".
        command: program and arguments.
        env: its whole environment.
        log: file that receives its output.
        directory: where it runs.
        cores: the CPU cores it may use.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        env: dict[str, str],
        log: Path,
        directory: str,
        cores: set[int],
    ) -> None:
        self.name = name
        self.log = log
        self.told_to_stop = False
        with log.open("ab") as output, _running_on(cores):
            self._process = subprocess.Popen(  # noqa: S603 - argument list, no shell
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=env,
                cwd=directory,
                start_new_session=True,  # its own group: its children can be ended with it
            )

    @property
    def identity(self) -> dict[str, object]:
        """What is needed to recognise the process later, even after its number was reused."""
        return {"pid": self._process.pid, "started": processes.identity(self._process.pid)}

    def exit_code(self) -> int | None:
        """The exit code in shell terms, or None while it runs."""
        code = self._process.poll()
        return None if code is None else shell_code(code)

    def stop(self, number: signal.Signals) -> None:
        """Sends a signal to the worker and its children."""
        self.told_to_stop = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


def environment(
    base: dict[str, str], addresses: Sequence[str], index: int, code: Path | None
) -> dict[str, str]:
    """The variables of one worker: those of the shell, then what Kubernetes would set."""
    env = {name: value for name, value in base.items() if name != "TF_CONFIG"}
    env |= {INDEX_VARIABLE: str(index), "PYTHONUNBUFFERED": "1"}
    if code:
        env["PYTHONPATH"] = os.pathsep.join(filter(None, (str(code), env.get("PYTHONPATH"))))
    return env | worker_env(addresses, index)


def free_addresses(count: int) -> list[str]:
    """`localhost:port` for each worker, with ports that nobody listens on.

    Raises:
        OSError: there are too few.
    """
    found: list[str] = []
    for port in random.sample(_PORTS, len(_PORTS)):
        if len(found) == count:
            break
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("", port))
            found.append(f"localhost:{port}")
    if len(found) < count:
        raise OSError(
            f"{len(found)} ports of {_PORTS.start} to {_PORTS.stop - 1} are free, and {count} "
            "workers need one each; end what listens there"
        )
    return found


def share_cores(count: int) -> list[set[int]]:
    """Splits this process's cores over `count` workers; workers share where there are too few."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < count:
        return [{cores[index % len(cores)]} for index in range(count)]
    return [set(cores[index::count]) for index in range(count)]


def alive(events: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The starts of workers that still run; a process number that was given anew is not one."""
    return [
        event
        for event in events
        if event["event"] == "start"
        and event["started"] == processes.identity(event["pid"]) != ""
        and processes.state(event["pid"]) != "Z"
    ]


def environment_of(pid: int) -> dict[str, str]:
    """The environment that a process was started with."""
    text = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="surrogateescape")
    return dict(pair.split("=", 1) for pair in text.split("\0") if "=" in pair)


def end_orphans(events: Sequence[Mapping[str, Any]]) -> None:
    """Kills workers that outlived their supervisor."""
    for event in alive(events):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(event["pid"], signal.SIGKILL)


@contextlib.contextmanager
def _running_on(cores: set[int]) -> Iterator[None]:
    """A child inherits the cores of the thread that starts it, before it can count them."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
