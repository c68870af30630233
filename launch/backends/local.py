"""Jobs on this machine: real worker processes, the same cluster description, the same policy."""

import contextlib
import dataclasses
import datetime
import importlib.util
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from launch import sweep, trainer_args
from launch.backends import job_folder
from launch.backends.job_folder import Event, JobFolder
from launch.backends.log_follower import LogFollower, last_lines
from launch.backends.worker_process import started
from launch.doctor import Check
from launch.feasibility import check
from launch.policy import IGNORED_CODES
from launch.spec import CODE_DIR, JobSpec
from launch.status import ENDED, Failure, JobStatus, Phase, failure_of_exit
from trainer.exit_codes import ExitCode, RunError

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
        folder, lock = job_folder.create(self._root, self.prepare(spec), str(Path.cwd()))
        _detach(folder, lock)
        os.close(lock)
        return folder.name

    def prepare(self, spec: JobSpec) -> JobSpec:
        """The spec as it runs here: checked, with a workdir.

        Raises:
            RunError: it cannot run here; BAD_FLAG.
        """
        if spec.device.kind != "cpu":
            raise RunError(
                ExitCode.BAD_FLAG,
                f"--accelerator={spec.accelerator} is asked of a cluster; this machine's own "
                "devices are found by the trainer: leave it out, or use --backend=kubernetes",
            )
        for variable in spec.secret_env:
            if variable.name not in os.environ:
                raise RunError(
                    ExitCode.BAD_FLAG,
                    f"--secret_env={variable.name}: there is no Secret on this machine; "
                    f"export {variable.name} before you submit",
                )
        placed = with_placement(with_workdir(check(spec)))
        copy = str(self._root.resolve() / spec.name / "code")
        here = tuple(arg.replace(CODE_DIR, copy) if spec.code else arg for arg in placed.args)
        return dataclasses.replace(placed, args=here)

    def dry_run(self, spec: JobSpec) -> list[str]:
        """What would run: one line for each worker or trial."""
        ready = self.prepare(spec)
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
            news = folder.events()
            for event in news[told:]:
                _tell(event, folder, out)
            told = len(news)
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
            _end_orphans(folder.events())
            folder.append("end", phase="cancelled", reason="cancelled by request")

    def delete(self, name: str) -> None:
        """Removes the job's state and logs; the workdir stays.

        Raises:
            RunError: it still runs; BAD_FLAG.
        """
        folder = job_folder.find(self._root, name)
        if self._status(folder).phase not in ENDED:
            raise RunError(ExitCode.BAD_FLAG, f"{name} still runs; first `launch cancel {name}`")
        _end_orphans(folder.events())
        folder.remove()

    def _status(self, folder: JobFolder) -> JobStatus:
        # The lock is asked first: a job that ends in between then shows its end, not "lost".
        alive = folder.has_supervisor()
        spec, events = folder.spec(), folder.events()
        phase, detail = _phase(events, alive, max(spec.workers, len(spec.trials)))
        return JobStatus(
            name=folder.name,
            backend="local",
            phase=phase,
            detail=detail,
            created=_clock(events[0]["time"]) if events else "",
            command=shlex.join([*spec.command, *spec.args]),
            workdir=spec.workdir,
            restarts=sum(bool(e.get("counted")) for e in events if e["event"] == "restart"),
            max_restarts=spec.max_restarts,
            first_failure=_first_failure(events, folder),
            trials=sweep.results(spec.trials, _exits(events), _reader(folder.directory())),
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
    return lambda path: (Path(directory) / path).read_text(encoding="utf-8")


def _unit(spec: JobSpec, index: int) -> str:
    if index < 0:
        return ""
    count = len(spec.trials) or spec.workers
    if index >= count:
        raise RunError(ExitCode.BAD_FLAG, f"--worker={index} must be 0 to {count - 1}")
    return f"{'trial' if spec.trials else 'worker'}-{index}"


def with_workdir(spec: JobSpec) -> JobSpec:
    """The spec with `runs/NAME` as workdir where it names none."""
    if spec.workdir:
        return spec
    return dataclasses.replace(spec, args=(*spec.args, f"--workdir=runs/{spec.name}"))


def with_placement(spec: JobSpec) -> JobSpec:
    """The spec with the trainer's strategy named where several workers need it."""
    if spec.workers == 1 or trainer_args.value(spec.args, "strategy") is not None:
        return spec
    return dataclasses.replace(spec, args=("--strategy=multi_worker", *spec.args))


def _with_this_package() -> str:
    here = str(Path(__file__).resolve().parents[2])
    return os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))


def _phase(events: Sequence[Event], alive: bool, count: int) -> tuple[Phase, str]:
    ends = [event for event in events if event["event"] == "end"]
    if ends:
        return ends[-1]["phase"], ends[-1]["reason"]
    if not alive:
        return "lost", "the machine or the supervisor stopped; submit again with the same --workdir"
    running: set[str] = set()
    for event in events:
        if event["event"] == "start":
            running.add(event["worker"])
        elif event["event"] == "exit":
            running.discard(event["worker"])
    return ("running" if running else "starting"), f"{len(running)} of {count} running"


def _first_failure(events: Sequence[Event], folder: JobFolder) -> Failure | None:
    """The worker that failed first in the newest attempt that had a failure."""
    failed = [
        event
        for event in events
        if event["event"] == "exit" and event["code"] and not event["told_to_stop"]
    ]
    graver = [event for event in failed if event["code"] not in IGNORED_CODES] or failed
    if not graver:
        return None
    newest = max(event["attempt"] for event in graver)
    first = next(event for event in graver if event["attempt"] == newest)
    log = folder.log(first["worker"].replace(" ", "-"), newest)
    return failure_of_exit(first["worker"], newest, first["code"], last_lines(log))


def _exits(events: Sequence[Event]) -> dict[int, int]:
    """The newest exit code of every trial."""
    return {
        int(event["worker"].split()[1]): event["code"]
        for event in events
        if event["event"] == "exit"
    }


def _tell(event: Event, folder: JobFolder, out: Print) -> None:
    match event["event"]:
        case "exit" if event["code"]:
            failure = failure_of_exit(event["worker"], event["attempt"], event["code"], ())
            out(f"[launch] {failure}{' (told to stop)' if event['told_to_stop'] else ''}")
        case "restart":
            kind = f"{event['total']} of {folder.spec().max_restarts}"
            out(f"[launch] restart {kind if event['counted'] else '(not counted)'}")
        case "end":
            reason = f": {event['reason']}" if event["reason"] else ""
            out(f"[launch] {folder.name} {event['phase']}{reason}")


def _end_orphans(events: Sequence[Event]) -> None:
    """Kills workers that outlived their supervisor; a reused process number is left alone."""
    for event in events:
        if event["event"] == "start" and event["started"] == started(event["pid"]) != "":
            with contextlib.suppress(ProcessLookupError):
                os.killpg(event["pid"], signal.SIGKILL)


def _clock(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat(timespec="seconds")
