"""A directory of verified copies under a byte budget, shared by the processes of one host.

There is no ledger to go stale: the files are the state. A copy being brought is a `.part` file of
its final size, held by an exclusive lock on it; a whole copy is a file without that suffix, held
by a shared lock of everyone who uses it. The kernel drops the locks of a killed process, so what
is unlocked is either evictable (whole) or rubbish (partial).
"""

import contextlib
import fcntl
import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from trainer.storage import checksum, transfer
from trainer.storage.failures import local_io
from trainer.storage.listing import RemoteFile
from trainer.storage.retry import Retry

FLAG = "--stage_dir"
OURS = re.compile(r"[0-9a-f]{16}-.*")
PART = ".part"


def staged_name(remote: RemoteFile) -> str:
    """Name the local copy: another content under the same URL is another file."""
    key = f"{remote.url}\n{remote.size}\n{remote.crc32c}"
    digest = hashlib.sha256(key.encode()).hexdigest()[:16]
    return f"{digest}-{remote.url.rpartition('/')[2][-100:]}"


class Lease:
    """A whole copy that nobody evicts until the lease is released.

    Attributes:
        path: the local copy.
    """

    def __init__(self, path: Path, handle: int) -> None:
        self.path = path
        self._handle = handle

    def release(self) -> None:
        """Let the copy be evicted; it stays while there is room."""
        os.close(self._handle)


class StageDir:
    """The copies of one directory.

    Args:
        path: the directory, on a local disk; files in it that are not ours are left alone.
        budget_bytes: copies, whole and partial, of all processes together never exceed it.
        retry: how faults are repeated.
    """

    def __init__(self, path: Path, budget_bytes: int, retry: Retry | None = None) -> None:
        self.path = path
        self._budget_bytes = budget_bytes
        self._retry = retry or Retry()
        self._verified: set[tuple[int, int, int]] = set()
        with local_io(path, FLAG):
            path.mkdir(parents=True, exist_ok=True)
        with self._locked():
            self._sweep()

    def acquire(self, remote: RemoteFile, next_use: Callable[[str], float]) -> Lease | None:
        """Bring a file here, or find it here.

        Args:
            remote: the file.
            next_use: maps a staged name to when this process wants it next; unlocked copies with
                the highest value are evicted first.

        Returns:
            the lease, or None if another process is busy with the file or no room can be made
            at the moment: ask again.

        Raises:
            RunError: BAD_CONFIG if the disk is full or read-only, and see `transfer.fetch`.
        """
        path = self.path / staged_name(remote)
        with local_io(path, FLAG):
            lease = self._find(path, remote) or self._claim(path, remote, next_use)
        if lease is None or not lease.path.name.endswith(PART):
            return lease
        return self._fill(lease, path, remote)

    def _find(self, path: Path, remote: RemoteFile) -> Lease | None:
        """Lease a whole copy; one that is not what it should be is deleted."""
        handle = _lock(path, os.O_RDONLY, fcntl.LOCK_SH)
        if handle is None:
            return None
        if self._is_whole(handle, path, remote):
            return Lease(path, handle)
        path.unlink(missing_ok=True)
        os.close(handle)
        return None

    def _is_whole(self, handle: int, path: Path, remote: RemoteFile) -> bool:
        status = os.fstat(handle)
        identity = (status.st_ino, status.st_size, status.st_mtime_ns)
        if identity not in self._verified and not checksum.file_sum(path).agrees(remote.sum):
            return False
        self._verified.add(identity)
        return True

    def _claim(
        self, path: Path, remote: RemoteFile, next_use: Callable[[str], float]
    ) -> Lease | None:
        """Reserve the room of a copy as an exclusively locked partial file."""
        part = path.with_name(path.name + PART)
        with self._locked():
            if path.exists():
                return None
            handle = _lock(part, os.O_RDWR | os.O_CREAT, fcntl.LOCK_EX)
            if handle is None:
                return None
            try:
                os.ftruncate(handle, 0)
                if self._make_room(remote.size, next_use):
                    # Truly allocated, so that a full disk is met here and not halfway.
                    os.posix_fallocate(handle, 0, max(remote.size, 1))
                    return Lease(part, handle)
            except BaseException:
                _discard(part, handle)
                raise
            _discard(part, handle)
            return None

    def _fill(self, claim: Lease, path: Path, remote: RemoteFile) -> Lease:
        """Download into a claim and turn its exclusive lock into a shared one."""
        handle = claim._handle
        try:
            with local_io(path, FLAG):
                # Not durable: every process checks the sum of a copy that it finds.
                transfer.fetch(remote, claim.path, self._retry)
            # Who reserves room must not see a file change its name under it, and changing a lock
            # lets go of it for a moment: both are done while the directory is held.
            with self._locked():
                claim.path.replace(path)
                fcntl.flock(handle, fcntl.LOCK_SH)
            status = os.fstat(handle)
            self._verified.add((status.st_ino, status.st_size, status.st_mtime_ns))
            return Lease(path, handle)
        except BaseException:
            _discard(claim.path, handle)
            raise

    def _make_room(self, size: int, next_use: Callable[[str], float]) -> bool:
        self._sweep()
        used = {path: path.stat().st_size for path in self._copies()}
        over = sum(used.values()) + size - self._budget_bytes
        whole = [path for path in used if not path.name.endswith(PART)]
        for path in sorted(whole, key=lambda path: next_use(path.name), reverse=True):
            if over <= 0:
                break
            if _evict(path):
                over -= used[path]
        return over <= 0

    def _sweep(self) -> None:
        """Delete the partial copies of processes that are gone."""
        for path in self._copies():
            if path.name.endswith(PART):
                _evict(path)

    def _copies(self) -> list[Path]:
        return [path for path in self.path.iterdir() if OURS.fullmatch(path.name)]

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the directory: reserving and evicting are done by one process at a time."""
        with local_io(self.path, FLAG):
            handle = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
                yield
            finally:
                os.close(handle)


def _lock(path: Path, flags: int, kind: int) -> int | None:
    """Open and lock a file; None if it is not there, locked by another, or deleted meanwhile."""
    try:
        handle = os.open(path, flags | os.O_CLOEXEC, stat.S_IRUSR | stat.S_IWUSR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(handle), path.stat()):
            return handle
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(handle)
    return None


def _evict(path: Path) -> bool:
    handle = _lock(path, os.O_RDWR, fcntl.LOCK_EX)
    if handle is None:
        return False
    _discard(path, handle)
    return True


def _discard(path: Path, handle: int) -> None:
    path.unlink(missing_ok=True)
    os.close(handle)
