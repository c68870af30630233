"""Plain copies of tables: a folder with a file a column, from which any row is read by arithmetic.

A CSV has to be parsed from its start and a Parquet file is decoded thousands of rows at a time, and
the exact order reads any row. So each file is read once, checked on the way, and kept as columns: a
number takes its width, bytes of any length have the ends of all values beside them.
"""

import contextlib
import json
import secrets
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from common.exit_codes import ExitCode, RunError
from trainer.storage.failures import local_io

Batch = Mapping[str, np.ndarray]
"""Column -> [rows, ...] of numbers, or object[rows, ...] of bytes."""

_META = "columns.json"


def write(folder: Path, batches: Iterable[Batch], facts: Mapping[str, Any]) -> None:
    """Write rows as columns into `folder`, which appears whole.

    Args:
        folder: of the copy; where another process was first, its copy stays.
        batches: of rows, all with the same columns.
        facts: what is known once all batches have been read, as JSON.

    Raises:
        RunError: of the batches, and see `local_io`.
    """
    with local_io(folder, "--stage_dir"):
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.part")
        partial.mkdir()
        try:
            columns = _write(partial, batches)
            meta = {"columns": columns, "facts": dict(facts)}
            (partial / _META).write_text(json.dumps(meta))
            with contextlib.suppress(OSError):  # another process was first
                partial.rename(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        if not folder.exists():
            raise FileNotFoundError(folder)


def objects(values: Sequence[bytes]) -> np.ndarray:
    """Return object[n] of bytes; NumPy on its own would make them of one width, without zeros."""
    found = np.empty(len(values), object)
    found[:] = values
    return found


def read_facts(folder: Path) -> dict[str, Any]:
    """Return the facts of a copy."""
    return dict(json.loads((folder / _META).read_text())["facts"])


class Columns:
    """An open copy.

    Args:
        folder: of it.
        names: of the columns that are read.

    Raises:
        RunError: BAD_DATA where a file of it has been cut or is gone.
    """

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        try:
            columns = json.loads((folder / _META).read_text())["columns"]
            self._columns = {name: _Column(folder, columns[name]) for name in names}
        except (OSError, ValueError, KeyError) as error:
            raise RunError(
                ExitCode.BAD_DATA,
                f"{folder}: the plain copy of a table is damaged ({type(error).__name__}); remove "
                "this folder, and it is made again",
            ) from error

    def read(self, name: str, rows: np.ndarray) -> np.ndarray:
        """Return some rows of a column."""
        return self._columns[name].read(rows)


class _Column:
    def __init__(self, folder: Path, meta: Mapping[str, Any]) -> None:
        self._shape = tuple(meta["shape"])
        self._is_bytes = meta["dtype"] == "bytes"
        kind = np.uint8 if self._is_bytes else np.dtype(meta["dtype"])
        shape = (meta["bytes"],) if self._is_bytes else (meta["rows"], *self._shape)
        self._values = _map(folder / meta["file"], kind, shape)
        if self._is_bytes:
            count = meta["rows"] * int(np.prod(self._shape, dtype=np.int64))
            self._ends = _map(folder / f"{meta['file']}.ends", np.dtype(np.int64), (count,))

    def read(self, rows: np.ndarray) -> np.ndarray:
        if not self._is_bytes:
            return self._values[rows]
        width = int(np.prod(self._shape, dtype=np.int64))
        flat = (rows[:, np.newaxis] * width + np.arange(width)).ravel()
        found = np.empty(len(flat), object)
        begins = np.where(flat > 0, self._ends[flat - 1], 0).tolist()
        for place, (begin, end) in enumerate(zip(begins, self._ends[flat].tolist(), strict=True)):
            found[place] = self._values[begin:end].tobytes()
        return found.reshape(len(rows), *self._shape)


def _map(path: Path, dtype: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Map a file into memory, so that only what is asked for is read; an empty one cannot be."""
    if not np.prod(shape):
        return np.empty(shape, dtype)
    return np.memmap(path, dtype, "r", shape=shape).view(np.ndarray)


def _write(folder: Path, batches: Iterable[Batch]) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    with contextlib.ExitStack() as closing:
        files: dict[str, BinaryIO] = {}

        def append(file: str, values: bytes) -> None:
            if file not in files:
                files[file] = closing.enter_context((folder / file).open("wb"))
            files[file].write(values)

        for batch in batches:
            for name, values in batch.items():
                is_bytes = values.dtype.kind == "O"
                start = {
                    "file": str(len(columns)),
                    "dtype": "bytes" if is_bytes else str(values.dtype),
                    "shape": values.shape[1:],
                    "rows": 0,
                    "bytes": 0,
                }
                column = columns.setdefault(name, start)
                if is_bytes:
                    flat = values.ravel().tolist()
                    ends = np.cumsum([len(value) for value in flat], dtype=np.int64)
                    append(f"{column['file']}.ends", (ends + column["bytes"]).tobytes())
                    values_bytes = b"".join(flat)
                else:
                    values_bytes = values.tobytes()
                append(column["file"], values_bytes)
                column["rows"] += len(values)
                column["bytes"] += len(values_bytes)
    return columns
