"""Jobs on this machine: real worker processes, the same cluster description, the same policy."""

import dataclasses
import importlib.util
import os
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path

from common.exit_codes import ExitCode, RunError
from launch import remote_files, sweep
from launch.backends import job_folder, job_history
from launch.backends.job_folder import JobFolder
from launch.backends.local_spec import prepare
from launch.backends.log_follower import LogFollower
from launch.backends.worker_process import end_orphans
from launch.doctor import Check
from launch.spec import JobSpec
from launch.status import ENDED, JobStatus

POLL_SECS = 0.1
Print = Callable[[str], None]


class LocalBackend:
    """Jobs in one state folder.

    Args:
        root: the state folder.
    """

    poll_secs = POLL_SECS

    def __init__(self, root: Path) -> None:
        self._root = root

    def submit(self, spec: JobSpec) -> str:
        """Starts the job detached from this terminal and returns its name.

        Raises:
            RunError: the spec cannot run here, or its name is taken; BAD_FLAG.
        """
        folder, lock = job_folder.create(self._root, prepare(spec, self._root), str(Path.cwd()))
        _detach(folder, lock)
        os.close(lock)
        return folder.name

    def dry_run(self, spec: JobSpec) -> list[str]:
        """What would run: one line for each worker or trial."""
        ready = prepare(spec, self._root)
        ends = ready.trials or [()] * ready.workers
        return [shlex.join([*ready.command, *ready.args, *end]) for end in ends]

    def doctor(self) -> list[Check]:
        """Whether this machine can run jobs."""
        cores = len(os.sched_getaffinity(0))
        found = importlib.util.find_spec("trainer") is not None
        parent = next(path for path in (self._root, *self._root.parents) if path.exists())
        return [
            Check("cores", cores > 0, f"{cores} for all workers together"),
            Check("trainer", found, "can be imported" if found else "is not on the Python path"),
            Check("state folder", os.access(parent, os.W_OK), f"{self._root} (--state_dir)"),
        ]

    def statuses(self) -> list[JobStatus]:
        """Every job, the oldest first."""
        return [self._status(folder) for folder in job_folder.every(self._root)]

    def status(self, name: str) -> JobStatus:
        """One job.

        Raises:
            RunError: there is no such job; BAD_FLAG.
        """
        return self._status(job_folder.find(self._root, name))

    def report(self, name: str) -> JobStatus:
        """One job, with a line of results for each trial of a sweep.

        Raises:
            RunError: there is no such job; BAD_FLAG.
        """
        folder = job_folder.find(self._root, name)
        codes = job_history.newest_exits(folder.events())
        trials = sweep.results(folder.spec().trials, codes, _reader(folder.directory()))
        return dataclasses.replace(self._status(folder), trials=trials)

    def follow(
        self, name: str, out: Print, index: int = -1, until: float = float("inf")
    ) -> JobStatus:
        """Prints logs and restarts until the job ends or the clock reaches `until`.

        Args:
            name: name of the job.
            out: receives each line.
            index: one worker or trial, or -1 for all.
            until: in seconds of time.monotonic().
        """
        folder = job_folder.find(self._root, name)
        logs = LogFollower(folder.path / "logs", _unit(folder.spec(), index))
        told = 0
        while True:
            status = self._status(folder)
            over = status.phase in ENDED or time.monotonic() >= until
            for line in logs.read(flush=over):
                out(line)
            events = folder.events()
            for event in events[told:]:
                if line := job_history.news(event, folder):
                    out(f"[launch] {line}")
            told = len(events)
            if over:
                return status
            time.sleep(POLL_SECS)

    def logs(self, name: str, out: Print, index: int = -1) -> None:
        """Prints what the logs hold now."""
        folder = job_folder.find(self._root, name)
        unit = _unit(folder.spec(), index)
        for line in LogFollower(folder.path / "logs", unit).read(flush=True):
            out(line)

    def cancel(self, name: str) -> None:
        """Asks the workers to save and stop; ends what an interrupted supervisor left behind."""
        folder = job_folder.find(self._root, name)
        if self._status(folder).phase in ("succeeded", "failed", "cancelled"):
            return
        folder.request_cancel()
        if not folder.has_supervisor():
            end_orphans(folder.events())
            folder.append("end", phase="cancelled", reason="cancelled by request")

    def delete(self, name: str) -> None:
        """Removes the job's state and logs; the workdir stays.

        Raises:
            RunError: it still runs; BAD_FLAG.
        """
        folder = job_folder.find(self._root, name)
        if self._status(folder).phase not in ENDED:
            raise RunError(ExitCode.BAD_FLAG, f"{name} still runs; first `launch cancel {name}`")
        end_orphans(folder.events())
        folder.remove()

    def _status(self, folder: JobFolder) -> JobStatus:
        # The lock is asked first: a job that ends in between then shows its end, not "lost".
        alive = folder.has_supervisor()
        spec, events = folder.spec(), folder.events()
        phase, detail = job_history.phase_of(events, alive, max(spec.workers, len(spec.trials)))
        return JobStatus(
            name=folder.name,
            backend="local",
            phase=phase,
            detail=detail,
            created=job_history.submitted_at(events),
            command=shlex.join([*spec.command, *spec.args]),
            workdir=spec.workdir,
            restarts=sum(bool(e.get("counted")) for e in events if e["event"] == "restart"),
            max_restarts=spec.max_restarts,
            first_failure=job_history.first_failure(events, folder),
        )


def _detach(folder: JobFolder, lock: int) -> None:
    """Starts the supervisor in a session of its own; it inherits the lock and nothing else."""
    log = str(folder.path / "supervisor.log")
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    os.set_inheritable(lock, True)
    os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", "launch.backends.supervisor", str(folder.path.resolve())],
        os.environ | {"PYTHONPATH": _with_this_package()},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, log, flags, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )


def _reader(directory: str) -> Callable[[str], str]:
    def read(path: str) -> str:
        if "://" in path:
            return remote_files.read_text(path)
        return (Path(directory) / path).read_text(encoding="utf-8")

    return read


def _unit(spec: JobSpec, index: int) -> str:
    if index < 0:
        return ""
    count = len(spec.trials) or spec.workers
    if index >= count:
        raise RunError(ExitCode.BAD_FLAG, f"--worker={index} must be 0 to {count - 1}")
    return f"{'trial' if spec.trials else 'worker'}-{index}"


def _with_this_package() -> str:
    here = str(Path(__file__).resolve().parents[2])
    return os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))
