"""Indexes of TFRecord files kept on the local disk, so that a second start does not scan.

An index is kept under the name of its file together with what the file was: size and time of a
local one, size and CRC-32C of a remote one. A file that is something else by now is scanned
anew. What is kept only saves time: it is checked when it is read, and where nothing can be
written nothing is kept.
"""

import contextlib
import dataclasses
import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import google_crc32c

from common import files
from trainer import storage
from trainer.data.info import Shard
from trainer.data.records import tfrecord
from trainer.data.records.files import Stage, file_bytes, open_shards
from trainer.data.records.staging import stat_shard
from trainer.data.records.tfrecord import Index

_VERSION = 2
# A file that has just been written may be written again at the same time of the disk's clock.
_SETTLED_NS = 2 * 10**9


def count_records(
    shards: Sequence[Shard], stage: Stage, *, skip_bad: bool
) -> tuple[tuple[Shard, ...], tuple[str, ...]]:
    """Count the records of files; returns the shards, and a line for all that is left out.

    Args:
        shards: with the number of records that each should hold, 0 where it is not known.
        stage: where remote ones are brought to be scanned.
        skip_bad: see `tfrecord.scan`.

    Raises:
        RunError: BAD_DATA naming the file and the byte, unless `skip_bad`.
    """
    counted = _contents([shard.url for shard in shards], stage, skip_bad=skip_bad)
    lines = [line for shard in shards for line in counted[shard.url].damaged]
    lines += [
        f"{shard.url}: {counted[shard.url].num_records} of {shard.num_examples} records are left"
        for shard in shards
        if counted[shard.url].num_records < shard.num_examples
    ]
    found = (
        Shard(url, counted[url].num_records, file_bytes(url), counted[url].crc32c)
        for url in (shard.url for shard in shards)
    )
    return tuple(found), tuple(lines)


def identify(shards: Sequence[Shard], stage: Stage) -> tuple[Shard, ...]:
    """Return shards, of which the number of records is known, with their size and checksum.

    Raises:
        RunError: BAD_DATA where a file is not there or the header of a record is damaged.
    """
    told = {s.url: stat_shard(s.url).crc32c for s in shards if storage.is_remote(s.url)}
    sums = {url: crc32c for url, crc32c in told.items() if crc32c is not None}
    sizes = {shard.url: file_bytes(shard.url) for shard in shards}  # finds what is missing
    others = [shard.url for shard in shards if shard.url not in sums]
    found = _contents(others, stage, skip_bad=False)
    sums |= {url: content.crc32c for url, content in found.items()}
    return tuple(dataclasses.replace(s, num_bytes=sizes[s.url], crc32c=sums[s.url]) for s in shards)


class _Content(NamedTuple):
    """What is remembered of an index: of many shards, all of the indexes would be large."""

    num_records: int
    damaged: tuple[str, ...]
    crc32c: int


def _contents(urls: Sequence[str], stage: Stage, *, skip_bad: bool) -> dict[str, _Content]:
    """Return what is in files, from their kept indexes or, where there is none, by a scan."""
    found: dict[str, _Content] = {}
    for url in urls:
        if index := find_index(url, stage.index_path, skip_bad=skip_bad):
            found[url] = _Content(len(index.offsets), index.damaged, index.crc32c)
    new = [url for url in urls if url not in found]
    with open_shards(new, range(len(new)), stage) as open_shard:
        for visit, url in enumerate(new):
            with open_shard(visit) as path:
                index = read_index(path, url, stage.index_path, skip_bad=skip_bad)
            found[url] = _Content(len(index.offsets), index.damaged, index.crc32c)
    return found


def read_index(path: Path, url: str, folder: Path, *, skip_bad: bool) -> Index:
    """Return the index of a shard, kept or scanned.

    Args:
        path: where the shard is on the local disk.
        url: of the shard.
        folder: of kept indexes.
        skip_bad: see `tfrecord.scan`.

    Raises:
        RunError: BAD_DATA, see `tfrecord.scan`.
    """
    index = find_index(url, folder, skip_bad=skip_bad)
    if index is None:
        content = content_of(url)
        index = tfrecord.scan(path, url, skip_bad=skip_bad)
        if content and content == content_of(url):  # else it changed meanwhile
            _keep(index, _place(url, folder, skip_bad), content)
    return index


def find_index(url: str, folder: Path, *, skip_bad: bool) -> Index | None:
    """Return the kept index of what the shard is now; the shard itself is not opened."""
    try:
        header, _, body = _place(url, folder, skip_bad).read_bytes().partition(b"\n")
        fields = json.loads(header)
    except (OSError, ValueError):
        return None
    content = content_of(url)
    if not content or fields.get("content") != content:
        return None
    if fields.get("crc32c") != google_crc32c.value(body):
        return None
    count = int(fields["count"])
    index = Index(damaged=tuple(fields["damaged"]), crc32c=int(fields["file_crc32c"]))
    index.offsets.frombytes(body[: 8 * count])
    index.lengths.frombytes(body[8 * count : 16 * count])
    index.checksums.frombytes(body[16 * count :])
    return index


def _keep(index: Index, place: Path, content: list[Any]) -> None:
    body = b"".join(x.tobytes() for x in (index.offsets, index.lengths, index.checksums))
    fields = {
        "content": content,
        "count": len(index.offsets),
        "damaged": index.damaged,
        "file_crc32c": index.crc32c,
        "crc32c": google_crc32c.value(body),
    }
    keep(place, json.dumps(fields).encode() + b"\n" + body)


def keep(place: Path, data: bytes) -> None:
    """Keep what only saves time when it is found again: a disk that fails is no reason to end."""
    with contextlib.suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        with files.replaced(place, contended=True) as partial:
            partial.write_bytes(data)


def _place(url: str, folder: Path, skip_bad: bool) -> Path:
    where = url if storage.is_remote(url) else str(Path(url).absolute())
    return folder / hashlib.sha256(f"{where}\n{skip_bad}".encode()).hexdigest()[:32]


def content_of(url: str) -> list[Any]:
    """Return what tells this content of a file from another; empty: nothing that is certain."""
    if storage.is_remote(url):
        file = stat_shard(url)
        return [] if file.crc32c is None else [_VERSION, file.url, file.size, file.crc32c]
    try:
        status = Path(url).stat()
    except OSError:
        return []
    if time.time_ns() - status.st_mtime_ns < _SETTLED_NS:
        return []
    return [_VERSION, url, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]
