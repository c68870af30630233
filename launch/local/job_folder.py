"""The state folder of local jobs: one folder a job, one writer, events that are only appended.

A name is claimed by renaming a finished folder into place, which the file system does for one of
any number of rivals. Whether a supervisor lives is the state of a file lock, which the kernel
drops with the process: neither a crash nor a reboot leaves a stale "running" behind.
"""

import dataclasses
import fcntl
import json
import os
import shutil
import socket
import tempfile
import time
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common import spelling
from launch.spec.job import JobSpec
from launch.spec.user_input import bad_flag

Event = dict[str, Any]


def default_root() -> Path:
    """Where jobs are kept unless --state_dir says otherwise."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "lockstep" / "jobs"


@dataclasses.dataclass(frozen=True)
class JobFolder:
    """The folder of one job."""

    path: Path

    @property
    def name(self) -> str:
        """The job's name."""
        return self.path.name

    @property
    def job(self) -> str:
        """What no other job is called, on this machine or another: restarts go by it."""
        return f"{self.name} ({socket.gethostname()}:{self.path.resolve()})"

    @property
    def code(self) -> Path:
        """The copy of the files of --code that the workers import."""
        return self.path / "code"

    def log(self, unit: str, attempt: int) -> Path:
        """The log of one worker or trial in one attempt."""
        return self.path / "logs" / f"{unit}.attempt-{attempt}.log"

    def spec(self) -> JobSpec:
        """The job as it was submitted."""
        return _spec_from(json.loads((self.path / "spec.json").read_text()))

    def directory(self) -> str:
        """The folder in which the job was submitted and in which its workers run."""
        return str(json.loads((self.path / "spec.json").read_text())["directory"])

    def append(self, event: str, **fields: object) -> None:
        """Adds one event; one write, so readers see all of it or nothing."""
        line = json.dumps({"event": event, "time": round(time.time(), 3), **fields}) + "\n"
        with (self.path / "events.jsonl").open("ab", buffering=0) as out:
            out.write(line.encode())

    def events(self) -> list[Event]:
        """Every event so far; an unfinished last line is left out."""
        try:
            text = (self.path / "events.jsonl").read_text()
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in text.splitlines(True) if line.endswith("\n")]

    def request_cancel(self) -> None:
        """Asks the supervisor to stop the job."""
        (self.path / "cancel").touch()

    def cancel_requested(self) -> bool:
        """Whether somebody asked to stop the job."""
        return (self.path / "cancel").exists()

    def has_supervisor(self) -> bool:
        """Whether a supervisor is alive: it holds the lock alone, those who ask share it."""
        with (self.path / "lock").open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def remove(self) -> None:
        """Removes the job's state; its workdir stays."""
        shutil.rmtree(self.path)


def create(root: Path, spec: JobSpec, directory: str) -> tuple[JobFolder, int]:
    """Claims the job's name, writes its folder and takes its lock.

    Returns:
        The folder, and the descriptor of the lock for the supervisor to inherit: there is no
        moment at which the job exists and seems abandoned.

    Raises:
        RunError: the name is taken, or nothing can be written there; BAD_FLAG.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".new-", dir=root))
    except OSError as error:
        raise bad_flag(
            f"--state_dir={root} cannot keep jobs: {error.strerror}; name a folder that you may "
            "write to"
        ) from None
    (draft / "logs").mkdir()
    record = {**dataclasses.asdict(dataclasses.replace(spec, code=None)), "directory": directory}
    (draft / "spec.json").write_text(json.dumps(record, indent=2) + "\n")
    for path, content in spec.code.files if spec.code else ():
        target = draft / "code" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    lock = os.open(draft / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    folder = JobFolder(root / spec.name)
    JobFolder(draft).append("submitted")
    try:
        draft.rename(folder.path)
    except OSError:
        os.close(lock)
        shutil.rmtree(draft)
        raise bad_flag(
            f"--name={spec.name} is taken; choose another, or `launch delete {spec.name}`"
        ) from None
    return folder, lock


def find(root: Path, name: str) -> JobFolder:
    """The folder of a job.

    Raises:
        RunError: there is none; BAD_FLAG with the nearest name.
    """
    names = [folder.name for folder in every(root)]
    if name not in names:
        hint = spelling.unknown("job", name, names) if names else f"there is no job {name!r}"
        raise bad_flag(f"{hint} (--backend=local, {root})")
    return JobFolder(root / name)


def every(root: Path) -> Iterator[JobFolder]:
    """All jobs, the oldest first."""
    found = [path for path in root.glob("[a-z]*") if (path / "spec.json").is_file()]
    yield from (JobFolder(path) for path in sorted(found, key=_created))


def _created(path: Path) -> float:
    return (path / "spec.json").stat().st_mtime


def _spec_from(record: dict[str, Any]) -> JobSpec:
    fields = {key: _tuples(value) for key, value in record.items() if key != "directory"}
    for name, hint in typing.get_type_hints(JobSpec).items():
        [member, *_] = typing.get_args(hint) or [None]
        if name in record and record[name] and dataclasses.is_dataclass(member):
            fields[name] = tuple(typing.cast(type, member)(**one) for one in record[name])
    return JobSpec(**fields)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
