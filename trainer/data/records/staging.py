"""Remote shards brought to the local disk ahead of reading, in the order of reading."""

import bisect
import collections
import contextlib
import math
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from common.exit_codes import ExitCode, RunError
from trainer import storage
from trainer.storage.stage_dir import staged_name

# How often a thread looks again at a file that another process is bringing.
POLL_SECS = 0.02


class Stager:
    """Brings shards here before they are asked for.

    Each reader keeps at most its share, `budget_bytes / num_sharers`, of shards opened, brought
    ahead or under way; the rest of the budget holds copies that anyone may evict. The shares fit
    side by side, so no process ever waits for room that another one holds.

    Args:
        urls_in_reading_order: one URL for each time a shard is read; a shard may come again.
        stage_dir: the local directory, shared by the workers of one host.
        budget_bytes: bytes that all copies in it may take together.
        num_sharers: readers that share the directory, of all processes together.
        num_threads: shards brought at the same time.
        retry: how faults are repeated.

    Raises:
        RunError: BAD_CONFIG if a shard is larger than the share, and see `stat_shard`.
    """

    def __init__(
        self,
        urls_in_reading_order: Sequence[str],
        stage_dir: Path,
        budget_bytes: int,
        *,
        num_sharers: int = 1,
        num_threads: int = 2,
        retry: storage.Retry | None = None,
    ) -> None:
        self._share_bytes = budget_bytes // num_sharers
        self._num_sharers = num_sharers
        files = {url: stat_shard(url, retry) for url in dict.fromkeys(urls_in_reading_order)}
        for file in files.values():
            _check_size(file, self._share_bytes, num_sharers)
        self._order = [files[url] for url in urls_in_reading_order]
        names = {url: staged_name(file) for url, file in files.items()}
        self._names = [names[url] for url in urls_in_reading_order]
        self._uses: dict[str, list[int]] = collections.defaultdict(list)
        for position, name in enumerate(self._names):
            self._uses[name].append(position)
        self._dir = storage.StageDir(stage_dir, budget_bytes, retry)
        self._changed = threading.Condition()
        self._cursor = 0
        self._leases: dict[str, storage.Lease] = {}
        self._num_readers: collections.Counter[str] = collections.Counter()
        self._pending: dict[str, int] = {}
        self._failure: BaseException | None = None
        self._closed = False
        self._threads = [
            threading.Thread(target=self._bring_all, name=f"stager-{i}", daemon=True)
            for i in range(num_threads)
        ]
        for thread in self._threads:
            thread.start()

    @contextlib.contextmanager
    def open(self, position: int) -> Iterator[Path]:
        """Give the local copy of a shard; it stays there inside the block.

        Args:
            position: index into the reading order. Shards before it are taken for read.

        Yields:
            the local path, once the copy is whole and verified.

        Raises:
            RunError: the shard cannot be brought; BAD_CONFIG if the shards open at once are
                larger than this process's share of the budget.
        """
        name = self._names[position]
        with self._changed:
            self._num_readers[name] += 1
            self._cursor = max(self._cursor, position)
            self._changed.notify_all()
        try:
            yield self._wait_for(name)
        finally:
            with self._changed:
                self._num_readers[name] -= 1
                self._cursor = max(self._cursor, position + 1)
                if not self._num_readers[name]:
                    self._release(name)
                self._changed.notify_all()

    def close(self) -> None:
        """Stop the threads after the shards under way and let all copies be evicted."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
        for name in list(self._leases):
            self._release(name)

    def __enter__(self) -> "Stager":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _wait_for(self, name: str) -> Path:
        with self._changed:
            self._changed.wait_for(
                lambda: name in self._leases or self._failure is not None or self._closed
            )
            if name in self._leases:
                return self._leases[name].path
            raise self._failure or RuntimeError("the stager is closed")

    def _bring_all(self) -> None:
        while (position := self._next_position()) is not None:
            name = self._names[position]
            lease = None
            try:
                lease = self._dir.acquire(self._order[position], self._next_use)
            except BaseException as failure:
                with self._changed:
                    self._failure = failure
            with self._changed:
                del self._pending[name]
                if lease is not None:
                    self._leases[name] = lease
                elif self._failure is None:
                    self._changed.wait(POLL_SECS)
                self._changed.notify_all()

    def _next_position(self) -> int | None:
        """Wait for a shard to bring: one that a reader waits for, or the next that has room."""
        with self._changed:
            while not self._closed and self._failure is None:
                position = self._choose()
                if position is not None:
                    self._pending[self._names[position]] = self._order[position].size
                    return position
                self._changed.wait()
            return None

    def _choose(self) -> int | None:
        absent = [
            name
            for name, readers in self._num_readers.items()
            if readers and name not in self._leases and name not in self._pending
        ]
        if absent:
            return self._choose_demanded(absent[0])
        ahead = (
            position
            for position in range(self._cursor, len(self._order))
            if self._names[position] not in self._leases
            and self._names[position] not in self._pending
        )
        position = next(ahead, None)
        if position is None or self._held_bytes() + self._order[position].size > self._share_bytes:
            return None
        return position

    def _choose_demanded(self, name: str) -> int | None:
        """Make room in the share for a shard that a reader waits for."""
        position = self._uses[name][0]
        size = self._order[position].size
        unread = [other for other in self._leases if not self._num_readers[other]]
        for other in sorted(unread, key=self._next_use, reverse=True):
            if self._held_bytes() + size <= self._share_bytes:
                break
            self._release(other)
        if self._held_bytes() + size <= self._share_bytes:
            return position
        if not any(not self._num_readers[other] for other in self._pending):
            self._failure = self._too_many_open(size)
            self._changed.notify_all()
        return None

    def _too_many_open(self, size: int) -> RunError:
        needed = self._held_bytes() + size
        num_open = len(self._leases) + len(self._pending) + 1
        return RunError(
            ExitCode.BAD_CONFIG,
            f"{num_open} shards open at once have {needed} bytes, more than the "
            f"{self._share_bytes} that each of {self._num_sharers} readers may stage: raise "
            f"--stage_bytes to at least {needed * self._num_sharers}",
        )

    def _held_bytes(self) -> int:
        leased = sum(self._order[self._uses[name][0]].size for name in self._leases)
        return leased + sum(self._pending.values())

    def _next_use(self, name: str) -> float:
        uses = self._uses.get(name, [])
        index = bisect.bisect_left(uses, self._cursor)
        return uses[index] if index < len(uses) else math.inf

    def _release(self, name: str) -> None:
        lease = self._leases.pop(name, None)
        if lease is not None:
            lease.release()


def stat_shard(url: str, retry: storage.Retry | None = None) -> storage.RemoteFile:
    """Return size and checksum of a remote file that has to be there.

    Raises:
        RunError: BAD_DATA where it is not, and see `storage.stat`.
    """
    try:
        return storage.stat(url, retry=retry)
    except storage.MissingError as error:
        raise RunError(ExitCode.BAD_DATA, f"{storage.scrub(url)}: there is no such file") from error


def _check_size(file: storage.RemoteFile, share_bytes: int, num_sharers: int) -> None:
    if file.size > share_bytes:
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"{storage.scrub(file.url)} has {file.size} bytes, more than the {share_bytes} that "
            f"each of {num_sharers} readers may stage: raise --stage_bytes to at least "
            f"{file.size * num_sharers}",
        )
