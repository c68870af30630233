"""One run at a time in a workdir: claims with a number, an owner and a heartbeat.

A claim is a file of the folder `lock` that only one process can make, on a disk and in a bucket
alike; the maker of the claim with the highest number owns the workdir. Clocks of machines are not
compared: a claim is stale when the waiting process itself has seen no heartbeat for long enough.
An owner that was frozen meanwhile finds a higher number before it writes again.
"""

import contextlib
import dataclasses
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from common.exit_codes import ExitCode, RunError
from trainer import storage
from trainer.run.lock_owner import Owner, is_at_work, is_gone, parse, this_process
from trainer.storage.failures import local_io

BEAT_SECS = 10.0
STALE_SECS = 60.0
_POLLS_A_BEAT = 10
# A process that was killed is seen at work until the kernel has taken it apart.
_DYING_SECS = 3.0
_DYING_POLL_SECS = 0.05


@dataclasses.dataclass(frozen=True)
class _Claim:
    """One file of the folder: its number, its bytes, and what they say where they are whole."""

    number: int
    data: bytes
    owner: Owner | None
    is_released: bool


class WorkdirLock:
    """The claim of this process; `held` takes and releases it.

    Args:
        where: the workdir, a folder or a URL.
        owner: this process.
        beat_secs: between two signs of life, seconds.
        stale_secs: without one, after which a claim may be taken over, seconds.
    """

    def __init__(self, where: str, owner: Owner, beat_secs: float, stale_secs: float) -> None:
        self._where = where
        self._folder = f"{where.rstrip('/')}/lock"
        self._owner = owner
        self._beat_secs, self._stale_secs = beat_secs, stale_secs
        self._retry = storage.Retry(num_attempts=5, base_secs=0.2, budget_secs=beat_secs)
        self._number = 0
        self._beats = 0
        self._beaten_at = 0.0
        self._successor: _Claim | None = None
        self._over = threading.Event()
        self._busy = threading.Lock()
        self._thread = threading.Thread(target=self._keep_beating, name="lock", daemon=True)

    def take(self) -> None:
        """Claim the workdir; waits for as long as a silent owner may still be alive.

        Raises:
            RunError: BAD_CONFIG naming the run that is at work there.
        """
        with self._faults_of_disk():
            while not self._number:
                newest = self._newest()
                if newest is not None and not self._is_free(newest):
                    self._await_silence(newest)
                number = newest.number + 1 if newest else 1
                if storage.create_bytes(self._url(number), self._record(), retry=self._retry):
                    self._number = number
                else:  # a rival was faster: look again
                    time.sleep(self._beat_secs / _POLLS_A_BEAT)
            self._beaten_at = time.monotonic()
            self._clear()
        self._thread.start()

    def check(self) -> None:
        """Refuse to go on in a workdir that another run has taken over; call it before writing.

        Raises:
            RunError: BAD_CONFIG naming that run.
        """
        # This process, or its thread, may have been frozen for long enough to be taken for dead.
        if time.monotonic() - self._beaten_at > self._stale_secs / 2:
            self._beat()
        if self._successor is not None:
            who = self._successor.owner or "another run"
            raise RunError(
                ExitCode.BAD_CONFIG,
                f"--workdir={self._where} was taken over by {who}: nothing had been heard of this "
                f"run for {self._stale_secs:.0f} s; it writes nothing more there",
            )

    def release(self) -> None:
        """Let the next run in at once."""
        self._over.set()
        self._thread.join()
        with contextlib.suppress(RunError, OSError):
            if not self._newest_is_mine():
                return
            if self._number > 1:  # whoever was taken over may wake, and must find this
                self._write(is_released=True)
                return
            storage.delete_file(self._url(self._number), retry=self._retry)
            if not storage.is_remote(self._where):
                # Of a start that was refused nothing is left: only empty folders go.
                Path(self._folder).rmdir()
                Path(self._where).rmdir()

    def _keep_beating(self) -> None:
        while not self._over.wait(self._beat_secs) and self._successor is None:
            self._beat()

    def _beat(self) -> None:
        """Give a sign of life; what the store does not take now is tried at the next beat."""
        with self._busy, contextlib.suppress(RunError, OSError):
            if self._newest_is_mine():
                self._beats += 1
                self._write()
                self._beaten_at = time.monotonic()

    def _newest_is_mine(self) -> bool:
        newest = self._newest()
        if newest is None or newest.number <= self._number:
            return True
        self._successor = newest
        return False

    def _await_silence(self, claim: _Claim) -> None:
        """Return when nothing was heard of the owner for long enough, or it has left."""
        if claim.owner is not None and is_at_work(claim.owner):
            until = time.monotonic() + _DYING_SECS
            while not is_gone(claim.owner):
                if time.monotonic() > until:
                    raise self._in_use(claim.owner)
                time.sleep(_DYING_POLL_SECS)
            return
        print(
            f"--workdir={self._where}: waiting up to {self._stale_secs:.0f} s for a sign of life "
            f"of {claim.owner or 'its owner'}",
            file=sys.stderr,
            flush=True,
        )
        until = time.monotonic() + self._stale_secs
        while time.monotonic() < until:
            time.sleep(self._beat_secs / _POLLS_A_BEAT)
            newest = self._newest()
            if newest is None or self._is_free(newest):
                return
            if newest.owner is not None and newest.data != claim.data:
                raise self._in_use(newest.owner)

    def _is_free(self, claim: _Claim) -> bool:
        """Whether the owner has left, is gone, or is what this process was restarted for."""
        if claim.owner is None:
            return False
        same_job = bool(self._owner.job) and claim.owner.job == self._owner.job
        return claim.is_released or same_job or is_gone(claim.owner)

    def _in_use(self, owner: Owner) -> RunError:
        return RunError(
            ExitCode.BAD_CONFIG,
            f"--workdir={self._where} is in use by {owner}; stop that run first, or use another "
            "--workdir",
        )

    def _newest(self) -> _Claim | None:
        for number in sorted(self._numbers(), reverse=True):
            with contextlib.suppress(storage.MissingError):  # cleared away meanwhile
                data = storage.read_bytes(self._url(number), retry=self._retry)
                return _Claim(number, data, *parse(data))
        return None

    def _numbers(self) -> list[int]:
        if storage.is_remote(self._where):
            files = storage.list_files(self._folder, refresh=True, retry=self._retry)
            stems = [Path(file.url).stem for file in files]
        else:  # not through a listing, which takes "[" in the name of a folder for a pattern
            stems = [path.stem for path in Path(self._folder).glob("*.json")]
        return [int(stem) for stem in stems if stem.isdecimal()]

    def _clear(self) -> None:
        """Delete the claims before this one."""
        for number in self._numbers():
            if number < self._number:
                storage.delete_file(self._url(number), retry=self._retry)

    def _write(self, *, is_released: bool = False) -> None:
        record = self._record(is_released=is_released)
        storage.write_bytes(self._url(self._number), record, retry=self._retry)

    def _record(self, *, is_released: bool = False) -> bytes:
        said = {**dataclasses.asdict(self._owner), "beat": self._beats, "released": is_released}
        return json.dumps(said).encode()

    def _url(self, number: int) -> str:
        return f"{self._folder}/{number:08}.json"

    def _faults_of_disk(self) -> contextlib.AbstractContextManager[None]:
        if storage.is_remote(self._where):
            return contextlib.nullcontext()
        return local_io(Path(self._where), "--workdir")


@contextlib.contextmanager
def held(
    where: str,
    *,
    is_chief: bool = True,
    environment: Mapping[str, str] = os.environ,
    beat_secs: float = BEAT_SECS,
    stale_secs: float = STALE_SECS,
) -> Iterator[Callable[[], None]]:
    """Hold the workdir `where`; give what refuses to go on once another run has taken it over.

    The chief holds it for all workers: it alone writes.

    Raises:
        RunError: see `WorkdirLock.take`.
    """
    if not is_chief:
        yield lambda: None
        return
    lock = WorkdirLock(where, this_process(environment), beat_secs, stale_secs)
    lock.take()
    try:
        yield lock.check
    finally:
        lock.release()
