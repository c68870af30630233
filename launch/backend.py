"""Where jobs run: what the verbs ask of this machine and of a cluster alike."""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from common.exit_codes import ExitCode, RunError
from launch.spec.job import JobSpec
from launch.spec.status import JobStatus

Print = Callable[[str], None]
RETRY_BUDGET_SECS = 300.0
T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Run:
    """One run of a job: all of it, or one trial.

    Attributes:
        name: of the job; of a sweep with the number of the trial, for example "rates/3".
        workdir: where its files are: a path of this machine, a URL, or a path of the pods.
    """

    name: str
    workdir: str


@dataclasses.dataclass(frozen=True)
class Command:
    """A command that this terminal runs.

    Attributes:
        words: program and arguments.
        environment: its whole environment; None: that of the launcher.
        directory: where it runs; "": here.
    """

    words: tuple[str, ...]
    environment: Mapping[str, str] | None = None
    directory: str = ""


@dataclasses.dataclass(frozen=True)
class Check:
    """One answer of `doctor`: what was looked at, whether a job can use it, what was found."""

    what: str
    ok: bool
    detail: str


class Backend(Protocol):
    """Jobs in one place.

    A method that names a job raises RunError, BAD_FLAG, where there is none of that name; any may
    raise TRANSIENT where the place is out of reach.

    Attributes:
        poll_secs: how often the place is asked while something is waited for, seconds.
        command: what starts the trainer there.
    """

    poll_secs: float
    command: tuple[str, ...]

    def submit(self, spec: JobSpec) -> str:
        """Starts a job and returns its name.

        Raises:
            RunError: it cannot run here, is refused, or its name is taken.
        """
        ...

    def dry_run(self, spec: JobSpec) -> Sequence[str]:
        """Checks a job without a trace; returns lines on what would run.

        Raises:
            RunError: as `submit`.
        """
        ...

    def statuses(self) -> list[JobStatus]:
        """Every job, the oldest first."""
        ...

    def status(self, name: str) -> JobStatus:
        """One job."""
        ...

    def report(self, name: str) -> JobStatus:
        """One job, with a line of results for each trial of a sweep."""
        ...

    def follow(
        self, name: str, out: Print, index: int = -1, until: float = float("inf")
    ) -> JobStatus:
        """Prints logs and what happens until the job ends.

        Args:
            name: name of the job.
            out: receives each line.
            index: one worker or trial, or -1 for all.
            until: ends the following earlier, in seconds of time.monotonic().
        """
        ...

    def logs(self, name: str, out: Print, index: int = -1) -> None:
        """Prints what the logs hold now."""
        ...

    def runs(self, name: str) -> list[Run]:
        """The run of a job, or those of its trials."""
        ...

    def read(self, path: str) -> str:
        """The text of a file in a workdir.

        Raises:
            OSError: there is none, or it cannot be read from here.
        """
        ...

    def attach(self, name: str, index: int, *, with_shell: bool) -> Command:
        """What shows the Python stacks of a worker or trial, or opens a shell beside it.

        Raises:
            RunError: it does not run, or nothing can reach it from here; BAD_FLAG.
        """
        ...

    def cancel(self, name: str) -> None:
        """Tells the workers to save and stop; a settled end stays as it is."""
        ...

    def delete(self, name: str) -> None:
        """Removes everything that was made for a job; its workdir stays."""
        ...

    def doctor(self) -> list[Check]:
        """Whether jobs can run here."""
        ...


def retry_transient(
    ask: Callable[[], T],
    tell: Print,
    poll_secs: float,
    budget_secs: float = RETRY_BUDGET_SECS,
) -> T:
    """The answer, asked for again after every transient error: a job goes on without its watcher.

    Args:
        ask: what is tried.
        tell: receives one line when the first try fails.
        poll_secs: pause between tries, seconds.
        budget_secs: the retry budget, seconds.

    Raises:
        RunError: any error that is not transient, or the last one when the budget is spent.
    """
    until = time.monotonic() + budget_secs
    told = False
    while True:
        try:
            return ask()
        except RunError as error:
            if error.code != ExitCode.TRANSIENT or time.monotonic() >= until:
                raise
            if not told:
                tell(f"[launch] {error.reason}; asking again")
                told = True
            time.sleep(poll_secs)
