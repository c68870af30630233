"""Jobs on this machine: real worker processes, the same cluster description, the same policy."""

import dataclasses
import functools
import importlib.util
import os
import shlex
import sys
import time
from pathlib import Path

from launch.backend import Backend, Check, Command, Print, Run
from launch.code import remote_files
from launch.local import history, job_folder, worker
from launch.local.job_folder import JobFolder
from launch.local.logs import LogFollower
from launch.local.prepare import prepare
from launch.spec import halving, sweep, trainer_args
from launch.spec.job import JobSpec
from launch.spec.status import ENDED, JobStatus
from launch.spec.user_input import bad_flag


class LocalBackend(Backend):
    """Jobs in one state folder.

    Args:
        root: the state folder.
    """

    poll_secs = 0.1
    command = (sys.executable, "-m", "trainer")

    def __init__(self, root: Path) -> None:
        self._root = root

    def submit(self, spec: JobSpec) -> str:
        """Starts the job detached from this terminal."""
        ready = prepare(spec, self._root)
        if ready.halving:
            self._refuse_left_trials(ready)
        folder, lock = job_folder.create(self._root, ready, str(Path.cwd()))
        _detach(folder, lock)
        os.close(lock)
        return folder.name

    def _refuse_left_trials(self, spec: JobSpec) -> None:
        """Refuses a sweep whose trials still run: they would count as failed, and leave it."""
        for folder in job_folder.every(self._root):
            same = folder.spec().trials == spec.trials and folder.directory() == str(Path.cwd())
            if same and (left := worker.alive(folder.events())):
                raise bad_flag(
                    f"--workdir={spec.workdir}: {left[0]['worker']} of {folder.name} still runs "
                    f"there; first `launch cancel {folder.name}`"
                )

    def dry_run(self, spec: JobSpec) -> list[str]:
        """Returns one command line for each worker or trial."""
        ready = prepare(spec, self._root)
        ends = ready.trials or [()] * ready.workers
        rungs = [rung for rule in ready.halving for rung in halving.rungs(rule, len(ends))]
        length = [f"--config.train_steps={rung.steps}" for rung in rungs[:1]]
        lines = [shlex.join([*ready.command, *ready.args, *length, *end]) for end in ends]
        return lines + [f"# then {rung.trials} to step {rung.steps}" for rung in rungs[1:]]

    def doctor(self) -> list[Check]:
        """Looks for cores, the trainer and a state folder that can be written."""
        cores = len(os.sched_getaffinity(0))
        found = importlib.util.find_spec("trainer") is not None
        parent = next(path for path in (self._root, *self._root.parents) if path.exists())
        return [
            Check("cores", cores > 0, f"{cores} for all workers together"),
            Check("trainer", found, "can be imported" if found else "is not on the Python path"),
            Check("state folder", os.access(parent, os.W_OK), f"{self._root} (--state_dir)"),
        ]

    def statuses(self) -> list[JobStatus]:
        """Every job of the state folder."""
        return [self._status(folder) for folder in job_folder.every(self._root)]

    def status(self, name: str) -> JobStatus:
        """The phase comes from the job's events and from whether its supervisor lives."""
        return self._status(self._find(name))

    def report(self, name: str) -> JobStatus:
        """The results of trials come from the summaries in their workdirs."""
        folder = self._find(name)
        codes = history.newest_exits(folder.events())
        read = functools.partial(_read, Path(folder.directory()))
        spec = folder.spec()
        trials = sweep.results(spec.trials, codes, read, spec.halving)
        return dataclasses.replace(self._status(folder), trials=trials)

    def follow(
        self, name: str, out: Print, index: int = -1, until: float = float("inf")
    ) -> JobStatus:
        """Reads the logs of every attempt as they grow."""
        folder = self._find(name)
        logs = LogFollower(folder.path / "logs", _unit(folder.spec(), index))
        told = 0
        while True:
            # The status before the logs: what an ended job wrote is then in them.
            status = self._status(folder)
            over = status.phase in ENDED or time.monotonic() >= until
            for line in logs.read(flush=over):
                out(line)
            events = folder.events()
            for event in events[told:]:
                if line := history.news(event, folder):
                    out(f"[launch] {line}")
            told = len(events)
            if over:
                return status
            time.sleep(self.poll_secs)

    def logs(self, name: str, out: Print, index: int = -1) -> None:
        """Prints the logs of every attempt."""
        folder = self._find(name)
        unit = _unit(folder.spec(), index)
        for line in LogFollower(folder.path / "logs", unit).read(flush=True):
            out(line)

    def runs(self, name: str) -> list[Run]:
        """Paths are taken from where the job was submitted."""
        folder = self._find(name)
        spec, directory = folder.spec(), Path(folder.directory())
        found = trainer_args.workdirs(spec.args, spec.trials)
        places = [str(directory / p) if p and "://" not in p else p for p in found]
        names = [f"{name}/{index}" for index in range(len(places))] if spec.trials else [name]
        return [Run(*row) for row in zip(names, places, strict=True)]

    def read(self, path: str) -> str:
        """Of this machine, or from a bucket."""
        return _read(Path(), path)

    def attach(self, name: str, index: int, *, with_shell: bool) -> Command:
        """The shell has the environment and the folder of the worker."""
        folder = self._find(name)
        unit = _unit(folder.spec(), index).replace("-", " ")
        running = [e for e in worker.alive(folder.events()) if e["worker"] == unit]
        if not running:
            raise bad_flag(f"{unit} of {name} does not run (--worker); `launch describe {name}`")
        pid = running[-1]["pid"]
        if with_shell:
            words: tuple[str, ...] = (os.environ.get("SHELL", "/bin/sh"),)
            return Command(words, worker.environment_of(pid), folder.directory())
        here = os.environ | {"PYTHONPATH": _with_this_package()}
        return Command((sys.executable, "-m", "common.stacks", str(pid)), here)

    def cancel(self, name: str) -> None:
        """Asks the supervisor; kills what a supervisor that died left behind."""
        folder = self._find(name)
        if self._status(folder).phase in ("succeeded", "failed", "cancelled"):
            return
        folder.request_cancel()
        if not folder.has_supervisor():
            worker.end_orphans(folder.events())
            folder.append("end", phase="cancelled", reason="cancelled by request")

    def delete(self, name: str) -> None:
        """Refuses a job that still runs."""
        folder = self._find(name)
        if self._status(folder).phase not in ENDED:
            raise bad_flag(f"{name} still runs; first `launch cancel {name}`")
        worker.end_orphans(folder.events())
        folder.remove()

    def _find(self, name: str) -> JobFolder:
        return job_folder.find(self._root, name)

    def _status(self, folder: JobFolder) -> JobStatus:
        # The lock is asked first: a job that ends in between then shows its end, not "lost".
        alive = folder.has_supervisor()
        spec, events = folder.spec(), folder.events()
        orphans = [] if alive else worker.alive(events)
        phase, detail = history.phase_of(events, alive, spec.units, orphans)
        first_failure, earlier = history.failures(events, folder)
        return JobStatus(
            name=folder.name,
            backend="local",
            phase=phase,
            detail=detail,
            created=history.submitted_at(events),
            command=shlex.join([*spec.command, *spec.args]),
            workdir=spec.workdir,
            restarts=sum(bool(e.get("counted")) for e in events if e["event"] == "restart"),
            max_restarts=spec.max_restarts,
            uncounted=sum(not e["counted"] for e in events if e["event"] == "restart"),
            first_failure=first_failure,
            earlier=earlier,
        )


def _detach(folder: JobFolder, lock: int) -> None:
    """Starts the supervisor in a session of its own; it inherits the lock and nothing else."""
    log = str(folder.path / "supervisor.log")
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    os.set_inheritable(lock, True)
    os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", "launch.local.supervisor", str(folder.path.resolve())],
        os.environ | {"PYTHONPATH": _with_this_package()},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, log, flags, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )


def _read(directory: Path, path: str) -> str:
    """The text of a file of a job that was submitted in `directory`."""
    if "://" in path:
        return remote_files.read_text(path)
    return (directory / path).read_text(encoding="utf-8")


def _unit(spec: JobSpec, index: int) -> str:
    """The unit by which the logs of one worker or trial are named, or "" for all."""
    if index < 0:
        return ""
    if index >= spec.units:
        raise bad_flag(f"--worker={index} must be 0 to {spec.units - 1}")
    return f"{'trial' if spec.trials else 'worker'}-{index}"


def _with_this_package() -> str:
    here = str(Path(__file__).resolve().parents[2])
    return os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))
