"""Jobs from Python: `launch.submit(JobSpec(...)).wait()`. The verbs are made of this."""

import contextlib
import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from common.exit_codes import ExitCode, RunError
from launch.backend import RETRY_BUDGET_SECS, Backend, Print, retry_transient
from launch.code import preflight
from launch.spec import progress
from launch.spec.job import JobSpec
from launch.spec.progress import Progress
from launch.spec.status import ENDED, JobStatus

Where = Literal["local", "kubernetes"]


@dataclasses.dataclass(frozen=True)
class Job:
    """One job, wherever it runs.

    Attributes:
        name: of the job.
        backend: where it runs.
    """

    name: str
    backend: Backend

    def status(self) -> JobStatus:
        """What it does now, in a word and a phrase."""
        return self.backend.status(self.name)

    def describe(self) -> JobStatus:
        """All that is known: what explains a failure, the attempts before, results of trials."""
        return self.backend.report(self.name)

    def wait(self, timeout_secs: float = 0.0, tell: Print = lambda _: None) -> JobStatus:
        """Wait until it has ended; holds through a cluster that does not answer for a while.

        Args:
            timeout_secs: give up after this time, seconds; 0: never.
            tell: receives a line when the cluster does not answer.

        Raises:
            TimeoutError: the time is over; says what the job was doing.
        """
        until = time.monotonic() + timeout_secs if timeout_secs else float("inf")
        while True:
            found = _within(self.status, until, tell, self.backend)
            if found.phase in ENDED:
                with contextlib.suppress(TimeoutError):  # how it ended is known all the same
                    found = _within(
                        lambda: self.backend.report(self.name), until, tell, self.backend
                    )
                return found
            if time.monotonic() >= until:
                raise StillRunningError(found)
            time.sleep(self.backend.poll_secs)

    def logs(self, out: Print = print, worker: int = -1, *, follow: bool = False) -> None:
        """Give the lines of the logs.

        Args:
            out: receives each line.
            worker: one worker or trial; -1: all.
            follow: go on until the job ends.
        """
        if follow:
            self.backend.follow(self.name, out, worker)
        else:
            self.backend.logs(self.name, out, worker)

    def progress(self) -> list[Progress]:
        """How far its run is, or each trial, from the files in its workdir."""
        phase = self.status().phase
        runs = self.backend.runs(self.name)
        return [progress.of_run(r.name, phase, r.workdir, self.backend.read) for r in runs]

    def cancel(self) -> None:
        """Let the workers save and stop."""
        self.backend.cancel(self.name)

    def delete(self) -> None:
        """Remove all that was made for it; its workdir stays."""
        self.backend.delete(self.name)


class StillRunningError(TimeoutError):
    """The time to wait is over; `status` says what the job was doing."""

    def __init__(self, status: JobStatus) -> None:
        super().__init__(f"{status.name} is still {status.phase}: {status.detail}")
        self.status = status


def connect(
    where: Where = "local", *, namespace: str = "lockstep", context: str = "", state_dir: str = ""
) -> Backend:
    """The place where jobs run.

    Args:
        where: on this machine, or on a cluster.
        namespace: of the cluster.
        context: of the kubeconfig; "": the current one.
        state_dir: state folder of local jobs; "": that of the user.

    Raises:
        RunError: there is no usable configuration of a cluster; BAD_FLAG.
    """
    if where == "local":
        from launch.local.backend import LocalBackend
        from launch.local.job_folder import default_root

        return LocalBackend(Path(state_dir) if state_dir else default_root())
    from launch.kubernetes.backend import KubernetesBackend
    from launch.kubernetes.cluster import connect as connect_cluster

    return KubernetesBackend(connect_cluster(context), namespace, context=context)


def submit(spec: JobSpec, backend: Backend | None = None, *, check: bool = True) -> Job:
    """Start a job.

    Args:
        spec: the job.
        backend: where; None: on this machine.
        check: let the trainer judge the config first.

    Raises:
        RunError: it cannot run there, or its config is wrong.
    """
    backend = backend or connect()
    if spec.command == JobSpec.command:
        spec = dataclasses.replace(spec, command=backend.command)
    if check:
        preflight.check(spec)
    return Job(backend.submit(spec), backend)


def jobs(backend: Backend | None = None) -> list[Job]:
    """Every job, the oldest first."""
    backend = backend or connect()
    return [Job(status.name, backend) for status in backend.statuses()]


def job(name: str, backend: Backend | None = None) -> Job:
    """The job of this name.

    Raises:
        RunError: there is none; BAD_FLAG with the nearest name.
    """
    backend = backend or connect()
    return Job(backend.status(name).name, backend)


def _within(ask: Callable[[], JobStatus], until: float, tell: Print, backend: Backend) -> JobStatus:
    """The answer, asked for again while the cluster is away and there is time."""
    left = max(until - time.monotonic(), 0.0)
    try:
        return retry_transient(ask, tell, backend.poll_secs, min(left, RETRY_BUDGET_SECS))
    except RunError as error:
        if error.code != ExitCode.TRANSIENT or time.monotonic() < until:
            raise
        tell(f"[launch] {error.reason}")
        raise TimeoutError(error.reason) from None
