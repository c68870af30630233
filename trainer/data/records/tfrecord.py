"""TFRecord files byte by byte: where every record is, and whether it is whole.

    uint64 length | uint32 masked CRC-32C of it | data | uint32 masked CRC-32C of the data

TensorFlow's reader can neither seek to a record nor go on behind a damaged one. No TensorFlow, so
that damage is found before it is imported.
"""

import array
import dataclasses
import os
import struct
from collections.abc import Sequence
from pathlib import Path

import google_crc32c
import numpy as np

from common.exit_codes import ExitCode, RunError
from trainer.data.records import crcs
from trainer.storage.failures import local_read

_HEADER = struct.Struct("<QI")
_FOOTER = struct.Struct("<I")
GAP = _FOOTER.size + _HEADER.size
"""Bytes between the data of two neighbours."""
# What follows a record: its checksum and the next header. Where all data are read, many at a read.
_HEADERS_BYTES, _DATA_BYTES = GAP, 16 << 10
_ADVICE = (
    "bring back the file, or set config.dataset.skip_bad_records=true to go on without the record"
)


@dataclasses.dataclass(frozen=True)
class Index:
    """Where the records of a file are.

    Attributes:
        offsets: byte at which the data of each record begins.
        lengths: bytes of it.
        checksums: masked CRC-32C that the file holds for it.
        damaged: a line for each stretch that was left out.
        crc32c: of the bytes of all these records one after another: of the file, where nothing was
            left out.
    """

    offsets: "array.array[int]" = dataclasses.field(default_factory=lambda: array.array("q"))
    lengths: "array.array[int]" = dataclasses.field(default_factory=lambda: array.array("q"))
    checksums: "array.array[int]" = dataclasses.field(default_factory=lambda: array.array("I"))
    damaged: tuple[str, ...] = ()
    crc32c: int = 0


def scan(path: Path, name: str, *, skip_bad: bool = False) -> Index:
    """Find all records of a local file; their data are not checked, unless `skip_bad`.

    Args:
        path: the file.
        name: what to call it in an error.
        skip_bad: leave out what is damaged, data included, instead of raising.

    Raises:
        RunError: BAD_DATA naming the file, the record and its byte; and see `local_read`.
    """
    with local_read(name), path.open("rb", buffering=0) as file:
        block_bytes = _DATA_BYTES if skip_bad else _HEADERS_BYTES
        return _scan(_Bytes(file.fileno(), block_bytes), name, skip_bad)


def masked_crcs(payloads: Sequence[bytes]) -> np.ndarray:
    """Return uint32[n]: the checksum that a file holds for each of these records."""
    return crcs.mask(np.fromiter(map(google_crc32c.value, payloads), np.uint32, len(payloads)))


def framed(data: bytes) -> bytes:
    """Return a record as a file holds it."""
    length = struct.pack("<Q", len(data))
    header = length + _FOOTER.pack(_masked_crc(length))
    return header + data + _FOOTER.pack(_masked_crc(data))


def place(name: str, record: int, start: int) -> str:
    """Name file, number and first byte of a record whose data begin at byte `start`."""
    return f"{name}: record {record} at byte {start - _HEADER.size}"


def damage(where: str, reason: str) -> RunError:
    """Return the error for a damaged record; `where` is its `place`."""
    return RunError(ExitCode.BAD_DATA, f"{where} {reason}; {_ADVICE}")


class _Bytes:
    """An open file, read in blocks; not mapped, as it may be larger than the address space."""

    def __init__(self, file: int, block_bytes: int) -> None:
        self.size = os.fstat(file).st_size
        self._file = file
        self._block_bytes = block_bytes
        self._start = 0
        self._block = b""

    def at(self, offset: int, count: int) -> bytes:
        """Return the few bytes at `offset`."""
        start = offset - self._start
        if not 0 <= start <= len(self._block) - count:
            self._start, self._block = offset, os.pread(self._file, self._block_bytes, offset)
            start = 0
        return self._block[start : start + count]

    def data(self, offset: int, length: int) -> bytes:
        """Return the data of a record."""
        return os.pread(self._file, length, offset)


def _scan(file: _Bytes, name: str, skip_bad: bool) -> Index:
    index = Index()
    damaged: list[str] = []
    offset = 0
    while offset < file.size:
        length, checksum, reason = _check(file, offset, skip_bad)
        if reason and not skip_bad:
            raise damage(place(name, len(index.offsets), offset + _HEADER.size), reason)
        if reason:
            damaged.append(f"{name}: byte {offset} {reason}")
            offset = offset + length + 16 if length else _next_header(file, offset + 1)
            continue
        index.offsets.append(offset + _HEADER.size)
        index.lengths.append(length)
        index.checksums.append(checksum)
        offset += length + 16
    whole = crcs.of_records(np.asarray(index.lengths), np.asarray(index.checksums))
    return dataclasses.replace(index, damaged=tuple(damaged), crc32c=whole)


def _check(file: _Bytes, offset: int, whole: bool) -> tuple[int, int, str]:
    """Return length (0: unknown) and checksum of the record at `offset`, and what is wrong."""
    if offset + 16 > file.size:
        return 0, 0, "is cut off"
    header = file.at(offset, _HEADER.size)
    length, crc = _HEADER.unpack(header)
    if _masked_crc(header[:8]) != crc:
        return 0, 0, "has a damaged length"
    start = offset + _HEADER.size
    if start + length + 4 > file.size:
        return 0, 0, f"is cut off: {length} bytes were written, {file.size - start} are there"
    checksum = _FOOTER.unpack(file.at(start + length, 4))[0]
    if whole and _masked_crc(file.data(start, length)) != checksum:
        return length, checksum, "does not match its checksum"
    return length, checksum, ""


def _next_header(file: _Bytes, offset: int) -> int:
    """Return the next byte at which a whole record may begin, or the end of the file."""
    for start in range(offset, file.size - 15):
        header = file.at(start, _HEADER.size)
        length, crc = _HEADER.unpack(header)
        if start + 16 + length <= file.size and _masked_crc(header[:8]) == crc:
            return start
    return file.size


def _masked_crc(data: bytes) -> int:
    return int(crcs.mask(google_crc32c.value(data)))
