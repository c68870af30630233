"""Plain copies of files that are compressed, made once.

No record of such a file can be read without all before it, and the exact order reads any.
"""

import hashlib
import struct
import zlib
from pathlib import Path

import google_crc32c

from common import files
from common.exit_codes import ExitCode, RunError
from trainer import storage
from trainer.data.records import crcs
from trainer.data.records.staging import stat_shard
from trainer.storage.failures import local_io, local_read

_BLOCK_BYTES = 1 << 20
_GZIP, _ZLIB = b"\x1f\x8b\x08", b"\x78"
_EITHER = zlib.MAX_WBITS | 32  # which of both it is, the stream says


def plain(path: Path, url: str, folder: Path) -> Path:
    """Return `path`, or the plain copy of it where it is compressed with gzip or zlib.

    Args:
        path: of a file on the local disk.
        url: of it.
        folder: of plain copies, kept for later starts.

    Raises:
        RunError: BAD_DATA where the file is cut off or damaged; and see `local_io`.
    """
    with local_read(url), path.open("rb") as file:
        if not _is_compressed(file.read(12)):
            return path
    copy = folder / _key(path, url)
    if not copy.exists():
        with local_io(copy, "--stage_dir"):
            folder.mkdir(parents=True, exist_ok=True)
            with files.replaced(copy, contended=True) as partial:
                _expand(path, url, partial)
    return copy


def _is_compressed(start: bytes) -> bool:
    if len(start) == 12:
        length, crc = start[:8], struct.unpack("<I", start[8:])[0]
        if crcs.mask(google_crc32c.value(length)) == crc:
            return False  # a record of such a length
    is_zlib = start[:1] == _ZLIB and len(start) > 1 and int.from_bytes(start[:2], "big") % 31 == 0
    return start.startswith(_GZIP) or is_zlib


def _key(path: Path, url: str) -> str:
    if storage.is_remote(url):
        file = stat_shard(url)
        content = f"{url} {file.size} {file.crc32c}"
    else:
        status = path.stat()
        content = f"{path.absolute()} {status.st_ino} {status.st_size} {status.st_mtime_ns}"
    return hashlib.sha256(content.encode()).hexdigest()[:32]


def _expand(path: Path, url: str, target: Path) -> None:
    with path.open("rb") as source, target.open("wb") as out:
        stream = zlib.decompressobj(_EITHER)
        try:
            while block := source.read(_BLOCK_BYTES):
                while block:
                    out.write(stream.decompress(block))
                    block = stream.unused_data
                    if stream.eof and block:  # parts one after another are one file
                        stream = zlib.decompressobj(_EITHER)
            is_whole = stream.eof
        except zlib.error as error:
            raise RunError(
                ExitCode.BAD_DATA, f"{url}: is compressed and damaged: {error}"
            ) from error
    if not is_whole:
        raise RunError(ExitCode.BAD_DATA, f"{url}: is compressed and cut off; bring back the file")
