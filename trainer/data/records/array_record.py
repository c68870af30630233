"""Records of ArrayRecord files, each read by its number; the library of the format checks them."""

import contextlib
from pathlib import Path
from typing import Any

import numpy as np

from common.exit_codes import ExitCode, RunError
from trainer.data.info import Section, Shard
from trainer.data.records import columns, copies
from trainer.data.records.files import Stage
from trainer.data.records.reader import RecordReader
from trainer.data.records.shard_reader import OpenShard


class ArrayRecordReader(RecordReader):
    """See `RecordReader`."""

    def _open_shard(self, section: Section, visit: int) -> OpenShard:
        with contextlib.ExitStack() as closing:
            path, shard = closing.enter_context(self._shards(visit)), section.shard
            file = _OpenArrayRecord(path, shard.url, closing.pop_all())
        if file.num_records != shard.num_examples:
            raise RunError(
                ExitCode.BAD_DATA,
                f"{shard.url}: holds {file.num_records} records, {shard.num_examples} are "
                "expected; bring back the whole file",
            )
        return file


def count_records(shards: tuple[Shard, ...], stage: Stage) -> tuple[Shard, ...]:
    """Return shards with the number of their records, their size and checksum.

    Raises:
        RunError: BAD_DATA naming the file that is none.
    """

    def count(path: Path, url: str, folder: Path) -> None:
        with contextlib.closing(_OpenArrayRecord(path, url, contextlib.ExitStack())) as file:
            columns.write(folder, (), {"rows": file.num_records})

    made = copies.make_copies(shards, "count of ArrayRecord", stage, count)
    return tuple(
        Shard(s.url, columns.read_facts(folder)["rows"], s.num_bytes, s.crc32c)
        for s, folder in made
    )


class _OpenArrayRecord:
    def __init__(self, path: Path, url: str, closing: contextlib.ExitStack) -> None:
        self._url, self._closing = url, closing
        with self._named():
            from array_record.python.array_record_module import ArrayRecordReader as Reader

            self._reader: Any = Reader(str(path))
            if not self._reader.ok():
                self._reader.close()  # which says what is wrong
            self.num_records = int(self._reader.num_records())
        closing.callback(self._reader.close)

    def read(self, numbers: np.ndarray) -> list[list[bytes]]:
        with self._named():
            return [self._reader.read(numbers.tolist())]

    def where(self, number: int) -> str:
        return f"{self._url}: record {number}"

    def close(self) -> None:
        self._closing.close()

    @contextlib.contextmanager
    def _named(self) -> Any:
        try:
            yield
        except (RuntimeError, ValueError) as error:
            raise RunError(
                ExitCode.BAD_DATA, f"{self._url}: {' '.join(str(error).split())}"
            ) from error
