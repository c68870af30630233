"""The cluster description in TF_CONFIG: written by the launcher, checked and read by the trainer.

Worker 0 is the chief; there is no task of that name, so that the set can shrink and grow.
"""

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from common.exit_codes import ExitCode, RunError

VARIABLE = "TF_CONFIG"
# Kubernetes tells each pod of an Indexed Job its place under this name.
INDEX_VARIABLE = "JOB_COMPLETION_INDEX"
# Names the job: its restarts share a workdir, runs of other jobs are refused there.
JOB_VARIABLE = "LOCKSTEP_JOB"
_ADDRESS = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9_.-]+):(\d{1,5})")
_EXAMPLE = (
    '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, "task": {"type": "worker", "index": 0}}'
)


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The worker processes of a run; worker 0 is the chief.

    Attributes:
        workers: "host:port" of each.
        index: of this process.
    """

    workers: tuple[str, ...] = ()
    index: int = 0

    @property
    def num_workers(self) -> int:
        """Processes of the run; a run without a description has one."""
        return max(1, len(self.workers))

    @property
    def num_on_host(self) -> int:
        """Processes of the run on the host of this one, itself counted."""
        hosts = [address.rpartition(":")[0] for address in self.workers] or [""]
        return hosts.count(hosts[self.index])

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the workdir."""
        return self.index == 0


def worker_env(workers: Sequence[str], index: int | str) -> dict[str, str]:
    """Return the variables that describe the cluster to one worker.

    Args:
        workers: "host:port" of each, in order. A single one needs no server: no variables.
        index: of the worker, or the text that the kubelet replaces by it. It is no JSON before
            that, which is why the object around it is written by hand.
    """
    if len(workers) < 2:
        return {}
    cluster = json.dumps({"worker": list(workers)}, separators=(",", ":"))
    return {VARIABLE: f'{{"cluster":{cluster},"task":{{"type":"worker","index":{index}}}}}'}


def read_cluster(environment: Mapping[str, str]) -> Cluster:
    """Return the cluster that TF_CONFIG describes, or a run of one process without it.

    Raises:
        RunError: BAD_CONFIG where the description is not one that a run can use.
    """
    text = environment.get(VARIABLE, "").strip()
    if not text:
        return Cluster()
    try:
        description = json.loads(text)
    except ValueError as error:
        raise _bad(f"is no JSON: {error}") from error
    members, task = _part(description, "cluster"), _part(description, "task")
    kinds = {*members, str(task.get("type", "none"))} - {"worker"}
    if kinds:
        raise _bad(
            f"only tasks of type 'worker' are used, got {sorted(kinds)}; the chief is worker 0"
        )
    workers, index = _check_workers(members.get("worker")), task.get("index")
    if type(index) is not int or not 0 <= index < len(workers):
        raise _bad(f"task.index={index!r} is not in 0..{len(workers) - 1}")
    return Cluster(tuple(workers), index)


def _part(description: Any, name: str) -> dict[str, Any]:
    value = description.get(name) if isinstance(description, dict) else None
    if not isinstance(value, dict) or not value:
        raise _bad(f"{name!r} is missing")
    return value


def _check_workers(workers: Any) -> list[str]:
    if not isinstance(workers, list) or not workers:
        raise _bad("cluster.worker must be a list of 'host:port'")
    for address in workers:
        match = _ADDRESS.fullmatch(address) if isinstance(address, str) else None
        if not match or not 0 < int(match[2]) < 65536:
            raise _bad(f"worker address {address!r} is not 'host:port'")
    if len(set(workers)) < len(workers):
        raise _bad("cluster.worker lists an address twice")
    return workers


def _bad(reason: str) -> RunError:
    return RunError(ExitCode.BAD_CONFIG, f"{VARIABLE}: {reason}; expected a form like {_EXAMPLE}")
