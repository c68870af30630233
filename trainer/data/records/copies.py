"""Plain copies of files that cannot be read at any place: where they are kept, and under what key.

A copy goes by the content of its file and by what was asked of it: a file that was rewritten never
meets the copy of what it was, and one that was moved finds its own.
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from trainer import storage
from trainer.data.info import Shard
from trainer.data.records.files import Stage, file_bytes, open_shards
from trainer.data.records.indexes import content_of, keep
from trainer.data.records.staging import stat_shard
from trainer.storage.checksum import file_sum
from trainer.storage.failures import local_read

Make = Callable[[Path, str, Path], None]
"""Makes the copy of (local path, URL) in a folder."""

_VERSION = 1


def folder_of(shard: Shard, asked: str, stage: Stage) -> Path:
    """Return the folder of the copy of a file of known content.

    Args:
        shard: with size and checksum.
        asked: everything else that decides what is in the copy.
        stage: below which copies are kept.
    """
    key = json.dumps([_VERSION, shard.num_bytes, shard.crc32c, asked])
    return stage.plain_path / hashlib.sha256(key.encode()).hexdigest()[:32]


def make_copies(
    shards: Sequence[Shard], asked: str, stage: Stage, make: Make
) -> list[tuple[Shard, Path]]:
    """Return each shard with size and checksum, and the folder of its copy.

    Where a copy is there, its file is neither read nor brought here.

    Raises:
        RunError: of `make`; BAD_DATA where a file is not there.
    """
    found: dict[str, tuple[Shard, Path]] = {}
    for shard in shards:
        crc32c = _known_crc32c(shard.url, stage.index_path)
        if crc32c is not None:
            known = dataclasses.replace(shard, num_bytes=file_bytes(shard.url), crc32c=crc32c)
            if (folder := folder_of(known, asked, stage)).exists():
                found[shard.url] = known, folder
    new = [shard for shard in shards if shard.url not in found]
    urls = [shard.url for shard in new]
    with open_shards(urls, range(len(new)), stage, expand=False) as open_shard:
        for visit, shard in enumerate(new):
            with open_shard(visit) as path:
                known = _read_sum(shard, path, stage.index_path)
                folder = folder_of(known, asked, stage)
                if not folder.exists():
                    make(path, shard.url, folder)
            found[shard.url] = known, folder
    return [found[shard.url] for shard in shards]


def _known_crc32c(url: str, folder: Path) -> int | None:
    """Return the checksum that the store tells or that was kept of a file that is as it was."""
    if storage.is_remote(url):
        return stat_shard(url).crc32c
    try:
        kept = json.loads(_place(url, folder).read_text())
    except (OSError, ValueError):
        return None
    is_same = kept.get("content") and kept["content"] == content_of(url)
    return int(kept["crc32c"]) if is_same else None


def _read_sum(shard: Shard, path: Path, folder: Path) -> Shard:
    before = content_of(shard.url)
    with local_read(shard.url):
        found = file_sum(path)
    if before and before == content_of(shard.url) and not storage.is_remote(shard.url):
        kept = {"content": before, "crc32c": found.crc32c}
        keep(_place(shard.url, folder), json.dumps(kept).encode())
    return dataclasses.replace(shard, num_bytes=found.size, crc32c=found.crc32c or 0)


def _place(url: str, folder: Path) -> Path:
    return folder / f"sum-{hashlib.sha256(str(Path(url).absolute()).encode()).hexdigest()[:32]}"
