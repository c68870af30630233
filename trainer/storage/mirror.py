"""A local directory copied to a remote one, visible only when every byte of it is there.

The marker names every file with its size and CRC-32C. It is written last and deleted first, so a
directory without a marker is not a mirror, whatever files it holds.
"""

import contextlib
import fcntl
import functools
import json
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from common.exit_codes import ExitCode, RunError
from trainer.storage import transfer
from trainer.storage.checksum import FileSum, file_sum
from trainer.storage.failures import MissingError, describe, local_io
from trainer.storage.listing import RemoteFile, list_files
from trainer.storage.retry import Retry

MARKER = "MIRRORED.json"
Manifest = dict[str, FileSum]


def mirror_up(local_dir: Path, url: str, *, retry: Retry | None = None) -> None:
    """Copy a directory up and commit it; repeating an interrupted call sends only what is missing.

    Args:
        local_dir: the directory; nobody may write to it meanwhile.
        url: the remote directory that becomes its mirror.
        retry: how faults are repeated.

    Raises:
        ValueError: `local_dir` has a file with the name of the marker, or no file at all.
        RunError: the mirror is not committed; see `Retry.run`.
    """
    url = url.rstrip("/")
    manifest = _sums(local_dir)
    if not manifest or MARKER in manifest:
        raise ValueError(f"{local_dir} is empty or holds a file named {MARKER!r}")
    stored = _stored(url, retry)
    missing = [
        name
        for name, local in manifest.items()
        if name not in stored or stored[name].crc32c is None or not local.agrees(stored[name])
    ]
    if not missing and read_marker(url, retry=retry) == manifest:
        return
    transfer.delete_file(f"{url}/{MARKER}", retry=retry)
    _in_parallel(
        lambda name: transfer.upload(local_dir / name, f"{url}/{name}", retry=retry), missing
    )
    transfer.write_bytes(f"{url}/{MARKER}", _encode(manifest), retry=retry)


def mirror_down(url: str, local_dir: Path, *, retry: Retry | None = None) -> None:
    """Bring a committed mirror here; `local_dir` appears only when all of it is verified.

    Several processes of one host may ask for the same directory: one brings it, the others wait
    and find it. A directory that is there and whole is kept.

    Args:
        url: the remote directory.
        local_dir: the directory to make.
        retry: how faults are repeated.

    Raises:
        RunError: BAD_DATA if the mirror is not committed, a file of it is missing or differs
            from the marker, or `local_dir` is there and differs; and see `Retry.run`.
    """
    url = url.rstrip("/")
    manifest = read_marker(url, retry=retry)
    if manifest is None:
        raise RunError(
            ExitCode.BAD_DATA, f"{describe(url)} is not a committed mirror: no valid {MARKER}"
        )
    with _part_dir(local_dir) as part:
        if local_dir.exists():
            _check(local_dir, manifest, url)
            return
        fetch = functools.partial(_fetch, url, part, manifest, retry or Retry())
        _in_parallel(fetch, list(manifest))
        with local_io(local_dir, "--workdir"):
            part.rename(local_dir)


def read_marker(url: str, *, retry: Retry | None = None) -> Manifest | None:
    """Return what the marker of a mirror names, or None if it is not committed."""
    try:
        return _decode(transfer.read_bytes(f"{url.rstrip('/')}/{MARKER}", retry=retry))
    except MissingError:
        return None


def list_mirrors(url: str, *, retry: Retry | None = None) -> list[str]:
    """Return the URLs of the directories right below `url` that hold a marker, sorted."""
    found = list_files(f"{url.rstrip('/')}/*/{MARKER}", refresh=True, retry=retry)
    return [file.url.removesuffix(f"/{MARKER}") for file in found]


def mirror_delete(url: str) -> None:
    """Delete a mirror, its marker first: a half-deleted one is never taken for whole."""
    transfer.delete_file(f"{url.rstrip('/')}/{MARKER}")
    transfer.delete_tree(url)


def _fetch(url: str, part: Path, manifest: Manifest, retry: Retry, name: str) -> None:
    source = f"{url}/{name}"
    expected = RemoteFile(source, manifest[name].size, manifest[name].crc32c)
    transfer.download(source, part / name, expected=expected, retry=retry)


def _check(local_dir: Path, manifest: Manifest, url: str) -> None:
    if _sums(local_dir) != manifest:
        raise RunError(
            ExitCode.BAD_DATA,
            f"{str(local_dir)!r} is there and differs from its mirror {describe(url)}: "
            "move one of them away",
        )


@contextlib.contextmanager
def _part_dir(local_dir: Path) -> Iterator[Path]:
    """Give an empty directory next to `local_dir`, locked against other processes of the host."""
    part = local_dir.with_name(f".{local_dir.name}.part")
    with local_io(local_dir, "--workdir"):
        local_dir.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(local_dir.parent, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        # What a killed process left: nobody else can be filling it while the lock is held.
        shutil.rmtree(part, ignore_errors=True)
        with local_io(local_dir, "--workdir"):
            part.mkdir()
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)
        os.close(handle)


def _sums(local_dir: Path) -> Manifest:
    paths = sorted(path for path in local_dir.rglob("*") if path.is_file())
    return {path.relative_to(local_dir).as_posix(): file_sum(path) for path in paths}


def _stored(url: str, retry: Retry | None) -> Manifest:
    stored = list_files(url, refresh=True, retry=retry)
    return {file.url.removeprefix(f"{url}/"): file.sum for file in stored}


def _in_parallel(call: Callable[[str], object], names: list[str]) -> None:
    with ThreadPoolExecutor(transfer.NUM_THREADS) as pool:
        list(pool.map(call, names))


def _encode(manifest: Manifest) -> bytes:
    entries = {name: {"size": s.size, "crc32c": s.crc32c} for name, s in manifest.items()}
    return json.dumps({"files": entries}, indent=1, sort_keys=True).encode()


def _decode(data: bytes) -> Manifest | None:
    """Parse a marker; None for one that is damaged or that names files outside its directory."""
    try:
        entries = json.loads(data)["files"]
        manifest = {
            str(name): FileSum(int(entry["size"]), int(entry["crc32c"]))
            for name, entry in entries.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return manifest if all(_is_inside(name) for name in manifest) else None


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts
