"""The process that keeps one local job running: starts workers, judges exits, restarts.

Run as `python -m launch.local.supervisor FOLDER`, detached from any terminal. It inherits the
lock of the folder and holds it as long as it lives.
"""

import dataclasses
import itertools
import os
import signal
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Literal

from common.cluster_description import JOB_VARIABLE
from common.exit_codes import RunError
from launch.code import remote_files
from launch.local.history import newest_exits
from launch.local.job_folder import JobFolder
from launch.local.rungs import Rungs, climb
from launch.local.worker import (
    WorkerProcess,
    end_orphans,
    environment,
    free_addresses,
    share_cores,
)
from launch.spec.exit_policy import FOR_GOOD, Verdict, judge_attempt, judge_exit, restart_delay_secs
from launch.spec.outcome import doubt
from launch.spec.status import Phase

POLL_SECS = 0.05
# A worker that lost its peer notices within 20 s; then it is told.
PEER_GRACE_SECS = 30.0


@dataclasses.dataclass(frozen=True)
class _Unit:
    """One worker or trial: its number, what it runs, the cores that it runs on."""

    kind: Literal["worker", "trial"]
    index: int
    command: list[str]
    cores: set[int]


class Supervisor:
    """Runs the job of one folder to its end.

    Args:
        folder: the job.
        peer_grace_secs: how long the others may take to notice a failed worker, seconds.
    """

    def __init__(self, folder: JobFolder, peer_grace_secs: float = PEER_GRACE_SECS) -> None:
        self._folder = folder
        self._spec = folder.spec()
        self._directory = folder.directory()
        self._peer_grace_secs = peer_grace_secs
        self._since = folder.events()[0]["time"]
        self._deadline = time.monotonic() + self._spec.deadline_hours * 3600

    def run(self) -> Phase:
        """Runs every worker or trial and writes the job's end."""
        spec = self._spec
        if spec.trials:
            phase, reason = self._run_sweep()
        else:
            command = [*spec.command, *spec.args]
            shares = enumerate(share_cores(spec.workers))
            group = [_Unit("worker", index, command, share) for index, share in shares]
            phase, reason = self._run_to_end(group)
        self._folder.append("end", phase=phase, reason=reason)
        return phase

    def _run_sweep(self) -> tuple[Phase, str]:
        if self._spec.halving:
            records = Rungs(self._spec, self._directory)
            return climb(
                records, self._run_trials, lambda i: newest_exits(self._folder.events()).get(i)
            )
        ends = self._run_trials(range(len(self._spec.trials)))
        failed = sum(phase == "failed" for phase, _ in ends)
        reason = f"{failed} of {len(ends)} trials failed" if failed else ""
        return max((phase for phase, _ in ends), key=_gravity), reason

    def _run_trials(
        self, trials: Sequence[int], more: Sequence[str] = ()
    ) -> list[tuple[Phase, str]]:
        """Runs some trials at a time, each on a share of the cores that nobody else is on."""
        width = min(self._spec.parallel_trials, len(trials))
        free: SimpleQueue[set[int]] = SimpleQueue()
        for share in share_cores(width):
            free.put(share)
        with ThreadPoolExecutor(width) as pool:
            return list(pool.map(lambda index: self._run_trial(index, more, free), trials))

    def _run_trial(
        self, index: int, more: Sequence[str], free: SimpleQueue[set[int]]
    ) -> tuple[Phase, str]:
        command = [*self._spec.command, *self._spec.args, *more, *self._spec.trials[index]]
        share = free.get()
        try:
            return self._run_to_end([_Unit("trial", index, command, share)])
        finally:
            free.put(share)

    def _run_to_end(self, group: Sequence[_Unit]) -> tuple[Phase, str]:
        """Attempts until one succeeds, fails for good, or the restarts are used up."""
        restarts, first = 0, self._num_starts(group[0])
        for attempt in itertools.count(first):
            if early := self._early_end():
                return early
            codes = self._attempt(group, attempt)
            if early := self._early_end():
                return early
            verdict = judge_attempt(codes)
            if verdict is Verdict.DONE:
                return self._judge_end(group[0].command[len(self._spec.command) :])
            if verdict is Verdict.FAIL:
                return "failed", FOR_GOOD
            if verdict is Verdict.COUNT:
                if restarts == self._spec.max_restarts:
                    return "failed", f"--max_restarts={restarts} are used up"
                restarts += 1
            counted = verdict is Verdict.COUNT
            self._folder.append("restart", unit=group[0].kind, counted=counted, total=restarts)
            self._pause(attempt - first)
        raise AssertionError("unreachable: attempts do not end by themselves")

    def _num_starts(self, member: _Unit) -> int:
        """How often it was started before: in the rungs below."""
        name = f"{member.kind} {member.index}"
        events = self._folder.events() if self._spec.halving else []
        return sum(e["event"] == "start" and e["worker"] == name for e in events)

    def _judge_end(self, args: Sequence[str]) -> tuple[Phase, str]:
        """Whether workers that ended with 0 have come to the end of their run."""
        try:
            reason = doubt(args, self._modified, self._since)
        except OSError as error:
            return "succeeded", f"the summary cannot be read: {error}"
        return ("failed", reason) if reason else ("succeeded", "")

    def _modified(self, path: str) -> float:
        if "://" in path:
            return remote_files.modified(path)
        return (Path(self._directory) / path).stat().st_mtime

    def _early_end(self) -> tuple[Phase, str] | None:
        if self._folder.cancel_requested():
            return "cancelled", "cancelled by request"
        if time.monotonic() > self._deadline:
            return "failed", f"--deadline_hours={self._spec.deadline_hours} is over"
        return None

    def _pause(self, attempt: int) -> None:
        until = time.monotonic() + restart_delay_secs(attempt)
        while time.monotonic() < until and not self._folder.cancel_requested():
            time.sleep(POLL_SECS)

    def _attempt(self, group: Sequence[_Unit], attempt: int) -> list[int]:
        """Starts the workers once and returns the codes of those that ended by themselves."""
        workers = self._start(group, attempt)
        codes: dict[str, int] = {}
        first_end: float | None = None
        told_at: float | None = None
        while len(codes) < len(workers):
            time.sleep(POLL_SECS)
            now = time.monotonic()
            for worker in workers:
                code = worker.exit_code()
                if code is None or worker.name in codes:
                    continue
                codes[worker.name] = code
                told = worker.told_to_stop
                self._folder.append(
                    "exit", worker=worker.name, attempt=attempt, code=code, told_to_stop=told
                )
                first_end = first_end or now
            # One end is enough: the others wait for who is gone, and would do so for ever.
            running = [worker for worker in workers if worker.name not in codes]
            if told_at is None and self._must_stop(codes, first_end, now):
                told_at = now
                _tell(running, signal.SIGTERM)
            elif told_at is not None and now - told_at > self._spec.grace_secs:
                _tell(running, signal.SIGKILL)
        return [codes[worker.name] for worker in workers if not worker.told_to_stop]

    def _must_stop(self, codes: dict[str, int], first_end: float | None, now: float) -> bool:
        if self._folder.cancel_requested() or now > self._deadline:
            return True
        if any(judge_exit(code) is Verdict.FAIL for code in codes.values()):
            return True
        return first_end is not None and now - first_end > self._peer_grace_secs

    def _start(self, group: Sequence[_Unit], attempt: int) -> list[WorkerProcess]:
        addresses = free_addresses(len(group))
        workers: list[WorkerProcess] = []
        try:
            for member in group:
                workers.append(self._start_one(member, addresses, attempt))
                name, identity = workers[-1].name, workers[-1].identity
                self._folder.append("start", worker=name, attempt=attempt, **identity)
        except OSError:  # the last of them may be in no event, so that nobody else could end it
            _tell(workers, signal.SIGKILL)
            raise
        return workers

    def _start_one(self, member: _Unit, addresses: list[str], attempt: int) -> WorkerProcess:
        code = self._folder.code if self._folder.code.is_dir() else None
        users = dict(self._spec.env)  # before those of a cluster: PYTHONPATH comes behind --code
        env = environment(dict(os.environ) | users, addresses, member.index, code)
        return WorkerProcess(
            f"{member.kind} {member.index}",
            member.command,
            env=env | {JOB_VARIABLE: self._folder.job},
            log=self._folder.log(f"{member.kind}-{member.index}", attempt),
            directory=self._directory,
            cores=member.cores,
        )


def _tell(workers: list[WorkerProcess], number: signal.Signals) -> None:
    for worker in workers:
        worker.stop(number)


def _gravity(phase: Phase) -> int:
    return ("succeeded", "cancelled", "failed").index(phase)


def main(folder: JobFolder) -> None:
    """Supervises the job; SIGTERM to the supervisor cancels it."""
    signal.signal(signal.SIGTERM, lambda *_: folder.request_cancel())
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        Supervisor(folder).run()
    except (OSError, RunError) as error:  # the program does not exist, the disk is full
        end_orphans(folder.events())
        folder.append("end", phase="failed", reason=str(error))


if __name__ == "__main__":
    main(JobFolder(Path(sys.argv[1])))
