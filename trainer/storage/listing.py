"""What is stored: list and look at files, remembered for the life of the process."""

import dataclasses
import os
import re
import stat as stat_kinds
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common.exit_codes import ExitCode, RunError
from trainer.storage import checksum, filesystems
from trainer.storage.checksum import FileSum
from trainer.storage.failures import describe
from trainer.storage.retry import Retry

MAGIC = re.compile(r"[*?\[]")

_listings: dict[str, list["RemoteFile"]] = {}
_stats: dict[str, "RemoteFile"] = {}


@dataclasses.dataclass(frozen=True)
class RemoteFile:
    """One stored file.

    Attributes:
        url: where it is.
        size: bytes.
        crc32c: CRC-32C of its content; None where the store does not tell.
    """

    url: str
    size: int
    crc32c: int | None

    @property
    def sum(self) -> FileSum:
        """Size and checksum."""
        return FileSum(self.size, self.crc32c)


def list_files(
    pattern_or_dir: str, *, refresh: bool = False, retry: Retry | None = None
) -> list[RemoteFile]:
    """List the files that match a glob, or all files below a directory.

    Args:
        pattern_or_dir: a URL or path; `*`, `?` and `[]` stay inside a folder, `**` does not.
        refresh: ask the store again instead of trusting this process's earlier answer.
        retry: how faults are repeated.

    Returns:
        the files sorted by URL; empty if there are none.

    Raises:
        MissingError: the bucket does not exist.
        RunError: TRANSIENT or BAD_CONFIG, see `Retry.run`.
    """
    found = None if refresh else _listings.get(pattern_or_dir)
    if found is None:
        found = _list(pattern_or_dir, retry or Retry())
        _stats.update({file.url: file for file in found})
        _listings[pattern_or_dir] = found
    return list(found)


def _list(pattern: str, retry: Retry) -> list[RemoteFile]:
    filesystem, name = filesystems.open_url(pattern)
    magic = MAGIC.search(name)
    root = name[: magic.start()].rpartition("/")[0] if magic else name
    if not filesystems.is_remote(pattern):
        return _list_local(Path(root), _matcher(name) if magic else None)
    options: dict[str, Any] = {"detail": True}
    if magic and filesystems.scheme_of(pattern) in ("gs", "gcs", "s3", "s3a"):
        # The store then filters: a bucket may hold millions of other objects.
        options["prefix"] = name[len(root) + 1 : magic.start()]
    found = retry.run(lambda: filesystem.find(root, **options), pattern, "listing")
    wanted = _matcher(name) if magic else None
    files = [
        _remote_file(pattern, entry)
        for key, entry in found.items()
        if entry["type"] == "file" and not key.endswith("/") and (not wanted or wanted.match(key))
    ]
    return sorted(files, key=lambda file: file.url)


def _list_local(root: Path, wanted: re.Pattern[str] | None) -> list[RemoteFile]:
    """List files of the local disk; links are followed, as data may be links into another store."""
    files = []
    for path in [root] if root.is_file() else _walk(root):
        if wanted and not wanted.match(str(path)):
            continue
        try:
            status = path.stat()
        except FileNotFoundError as error:
            if wanted and path.is_symlink():
                raise RunError(
                    ExitCode.BAD_DATA,
                    f"{path}: is a link to {path.readlink()}, which is not there; bring the file "
                    "that it stands for",
                ) from error
            continue  # removed meanwhile
        if stat_kinds.S_ISREG(status.st_mode):
            files.append(RemoteFile(str(path), status.st_size, None))
    return sorted(files, key=lambda file: file.url)


def _walk(root: Path) -> Iterator[Path]:
    """Give the paths of all files below a folder, those behind links too."""
    for name, subfolders, names in os.walk(root, followlinks=True):
        folder = Path(name)
        real = folder.resolve()
        # Walking into a link to a folder that it lies in would never end.
        subfolders[:] = [n for n in subfolders if not real.is_relative_to((folder / n).resolve())]
        yield from (folder / n for n in names)


def _matcher(pattern: str) -> re.Pattern[str]:
    from fsspec.utils import glob_translate

    return re.compile(glob_translate(pattern))


def _remote_file(url: str, entry: dict[str, Any]) -> RemoteFile:
    where = filesystems.url_of(filesystems.scheme_of(url), entry["name"])
    if entry["size"] is None:
        raise RunError(ExitCode.BAD_CONFIG, f"{describe(url)}: the store does not tell its size")
    return RemoteFile(where, int(entry["size"]), checksum.from_base64(entry.get("crc32c")))


def stat(url: str, *, refresh: bool = False, retry: Retry | None = None) -> RemoteFile:
    """Return size and checksum of one file, from an earlier listing where there is one.

    Raises:
        MissingError: there is no such file.
        RunError: TRANSIENT or BAD_CONFIG, see `Retry.run`.
    """
    found = None if refresh else _stats.get(url)
    if found is None:
        filesystem, name = filesystems.open_url(url)
        entry = (retry or Retry()).run(lambda: _info(filesystem, name), url, "looking at")
        found = _stats[url] = _remote_file(url, entry)
    return found


def _info(filesystem: Any, name: str) -> dict[str, Any]:
    entry: dict[str, Any] = filesystem.info(name)
    if entry["type"] != "file":
        raise FileNotFoundError(name)
    return entry


def forget(url: str = "") -> None:
    """Drop what is remembered of a file, of what is below it and of listings that may name it.

    Args:
        url: what this process changes; empty: everything, for it talks to another store.
    """
    changed = _path(url)
    for remembered in (_listings, _stats):
        for key in list(remembered):
            fixed = _path(MAGIC.split(key, maxsplit=1)[0])
            if changed.startswith(fixed) or fixed.startswith(changed):
                remembered.pop(key, None)


def _path(url: str) -> str:
    return url.rpartition("://")[2].rstrip("/")  # gs:// and gcs:// are one store
