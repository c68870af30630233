"""Single files: bring, send and delete."""

import collections
import contextlib
import functools
import shutil
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

from common import files
from common.exit_codes import ExitCode, RunError
from trainer.storage import checksum, filesystems
from trainer.storage.checksum import FileSum
from trainer.storage.failures import MissingError, describe, local_io, status_of
from trainer.storage.listing import RemoteFile, forget, list_files, stat
from trainer.storage.retry import Retry

_IS_THERE = 412  # HTTP: the condition that there be no such object does not hold
# Whole transfers whose checksum comes out wrong; each request inside has its own retries.
NUM_TRANSFERS = 3
NUM_THREADS = 8
# Chunks of one file under way: the store's latency is paid once, not once a chunk.
NUM_CHUNKS_AHEAD = 4
READ_BYTES = 4 << 20
# The page cache takes a large write in large pages: on a virtual machine whose host has to find
# them first, 16 times as slow as this.
WRITE_BYTES = 256 << 10


def read_bytes(url: str, *, retry: Retry | None = None) -> bytes:
    """Return the content of a small file as it is now.

    Raises:
        MissingError: there is no such file.
        RunError: TRANSIENT or BAD_CONFIG, see `Retry.run`.
    """
    filesystem, name = filesystems.open_url(url)
    return bytes((retry or Retry()).run(lambda: filesystem.cat_file(name), url, "reading"))


def write_bytes(url: str, data: bytes, *, retry: Retry | None = None) -> None:
    """Write a small file in one request: readers see all of it or nothing of it."""
    forget(url)
    filesystem, name = filesystems.open_url(url)
    (retry or Retry()).run(lambda: filesystem.pipe_file(name, data), url, "writing")


def create_bytes(url: str, data: bytes, *, retry: Retry | None = None) -> bool:
    """Write a small file where there is none; of any number of rivals one succeeds.

    Returns:
        Whether it is this content that is there now: an answer that was lost is no failure.
    """
    forget(url)
    filesystem, name = filesystems.open_url(url)

    def create() -> bool:
        try:
            filesystem.pipe_file(name, data, mode="create")
        except Exception as error:
            if isinstance(error, FileExistsError) or status_of(error) == _IS_THERE:
                return False
            raise
        return True

    is_new = (retry or Retry()).run(create, url, "writing")
    return is_new or read_bytes(url, retry=retry) == data


def download(
    url: str,
    path: Path,
    *,
    expected: RemoteFile | None = None,
    retry: Retry | None = None,
) -> None:
    """Bring one file here; `path` appears only when it is whole, verified and on disk.

    Args:
        url: the file.
        path: where to put it; an existing file is replaced.
        expected: what it must be; asked from the store if not given.
        retry: how faults are repeated. A fault costs one chunk, not the whole file.

    Raises:
        MissingError: nothing is expected, and there is no such file.
        RunError: BAD_DATA if the file is gone or its bytes are not the expected ones, BAD_CONFIG
            if the local disk is full or read-only, and see `Retry.run`.
    """
    retry = retry or Retry()
    expected = expected or stat(url, retry=retry)
    with local_io(path, "--workdir"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with files.replaced(path, durable=True, contended=True) as partial:
            fetch(expected, partial, retry)


def fetch(expected: RemoteFile, partial: Path, retry: Retry) -> None:
    """Bring the bytes of one file into `partial`, and verify them.

    Args:
        expected: the file, and what it must be.
        partial: where the bytes go; what is there is overwritten.
        retry: how faults are repeated. A fault costs one chunk, not the whole file.

    Raises:
        OSError: of the local disk.
        RunError: BAD_DATA if the file is gone or its bytes are not the expected ones, and see
            `Retry.run`.
    """
    for _ in range(NUM_TRANSFERS):
        with partial.open("r+b" if partial.exists() else "wb") as file:
            got = _fetch_chunks(expected, file, retry)
            file.truncate(got.size)
        if got.agrees(expected.sum):
            return
    raise RunError(
        ExitCode.BAD_DATA,
        f"{describe(expected.url)}: got {got}, expected {expected.sum}; "
        "the object was changed during the run or is damaged: restore it and start again",
    )


def _fetch_chunks(expected: RemoteFile, file: BinaryIO, retry: Retry) -> FileSum:
    size = crc32c = 0
    for data in _chunks(expected, retry):
        for start in range(0, len(data), WRITE_BYTES):
            file.write(memoryview(data)[start : start + WRITE_BYTES])
        size, crc32c = size + len(data), checksum.extend(crc32c, data)
    return FileSum(size, crc32c)


def _chunks(remote: RemoteFile, retry: Retry) -> Iterator[bytes]:
    """Yield the content in order while the next chunks are under way."""
    filesystem, name = filesystems.open_url(remote.url)

    def read(start: int) -> bytes:
        end = min(start + READ_BYTES, remote.size)
        call = functools.partial(filesystem.cat_file, name, start=start, end=end)
        try:
            return bytes(retry.run(call, remote.url, "reading"))
        except MissingError as error:
            raise RunError(
                ExitCode.BAD_DATA,
                f"{describe(remote.url)} was there and is gone (404): restore it and start again",
            ) from error

    with ThreadPoolExecutor(NUM_CHUNKS_AHEAD) as pool:
        ahead: collections.deque[Future[bytes]] = collections.deque()
        for start in range(0, remote.size, READ_BYTES):
            ahead.append(pool.submit(read, start))
            if len(ahead) == NUM_CHUNKS_AHEAD:
                yield ahead.popleft().result()
        yield from (future.result() for future in ahead)


def upload(path: Path, url: str, *, retry: Retry | None = None) -> RemoteFile:
    """Send one file and have the store confirm its size and checksum.

    Args:
        path: the file; nobody may write to it meanwhile.
        url: where it goes; what is there is replaced.
        retry: how faults are repeated.

    Raises:
        RunError: TRANSIENT if what is stored differs from the file, and see `Retry.run`.
    """
    retry = retry or Retry()
    forget(url)
    filesystem, name = filesystems.open_url(url)
    local = checksum.file_sum(path)
    for _ in range(NUM_TRANSFERS):
        filesystems.put_file(filesystem, path, name, url, retry)
        with contextlib.suppress(MissingError):
            stored = stat(url, refresh=True, retry=retry)
            if stored.sum.agrees(local):
                return stored
    raise RunError(
        ExitCode.TRANSIENT,
        f"writing {describe(url)}: what is stored is not what was sent ({local}), "
        f"{NUM_TRANSFERS} times; start the same command again",
    )


def delete_file(url: str, *, retry: Retry | None = None) -> None:
    """Delete one file; one that is gone already is no error."""
    forget(url)
    filesystem, name = filesystems.open_url(url)
    try:
        (retry or Retry()).run(lambda: filesystem.rm_file(name), url, "deleting")
    except MissingError:
        return


def delete_tree(url: str, *, retry: Retry | None = None) -> None:
    """Delete every file below a directory.

    Raises:
        ValueError: the URL is a whole bucket.
        RunError: TRANSIENT or BAD_CONFIG, see `Retry.run`.
    """
    name = filesystems.open_url(url)[1].strip("/")
    if "/" not in name:
        raise ValueError(f"{url!r} is a whole bucket: delete_tree only deletes below one")
    if filesystems.is_remote(url):
        urls = [file.url for file in list_files(url, refresh=True, retry=retry)]
        with ThreadPoolExecutor(NUM_THREADS) as pool:
            list(pool.map(functools.partial(delete_file, retry=retry), urls))
    else:
        shutil.rmtree(url, ignore_errors=True)
    forget(url)
