"""The owner of a workdir lock: what identifies a process, and whether it still runs."""

import dataclasses
import datetime
import json
import os
import secrets
import socket
from collections.abc import Mapping
from typing import Any

from common import processes
from common.cluster_description import INDEX_VARIABLE, JOB_VARIABLE


@dataclasses.dataclass(frozen=True)
class Owner:
    """The process that claims a workdir.

    Attributes:
        token: no other process has it.
        job: whose restarts follow each other; "" for a run that no launcher started.
        host: its name, for people.
        pid: number of the process, in `space`.
        process: what tells it from a later one of the same number.
        space: in which process numbers mean the same: of this boot and namespace.
        since: when it came, ISO 8601, for people.
    """

    token: str
    job: str
    host: str
    pid: int
    process: str
    space: str
    since: str

    def __str__(self) -> str:
        """For the line that refuses another run."""
        job = f"the run of job {self.job}, " if self.job else "a run, "
        return f"{job}process {self.pid} on {self.host} since {self.since}"


def this_process(environment: Mapping[str, str]) -> Owner:
    """Return what is to be written of this process."""
    job = environment.get(JOB_VARIABLE, "")
    return Owner(
        token=secrets.token_hex(8),
        job=f"{job}/{environment.get(INDEX_VARIABLE, '0')}" if job else "",
        host=socket.gethostname(),
        pid=os.getpid(),
        process=processes.identity(os.getpid()),
        space=processes.space(),
        since=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )


def is_gone(owner: Owner) -> bool:
    """Whether the process is known to have ended: only its own machine can know."""
    if not owner.space or owner.space != processes.space():
        return False
    return processes.identity(owner.pid) != owner.process or processes.state(owner.pid) in "ZX"


def is_at_work(owner: Owner) -> bool:
    """Whether the process is known to be there, and not frozen."""
    if not owner.space or owner.space != processes.space() or is_gone(owner):
        return False
    return processes.state(owner.pid) not in "Tt"


def parse(data: bytes) -> tuple[Owner | None, bool]:
    """Owner and whether it has left; of a file that is being written: none."""
    try:
        said: dict[str, Any] = json.loads(data)
        fields = {field.name: said[field.name] for field in dataclasses.fields(Owner)}
        return Owner(**fields), bool(said["released"])
    except (ValueError, KeyError, TypeError):
        return None, False
