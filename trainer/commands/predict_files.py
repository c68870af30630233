"""Where predictions go: JSON lines, CSV, Parquet or NPZ."""

import contextlib
import csv
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from common import files, strict_json
from common.exit_codes import ExitCode, RunError
from trainer.storage.failures import local_io

if TYPE_CHECKING:
    import pyarrow as pa

Parts = Iterator[Mapping[str, Any]]
"""Predictions in order: "source" -> list of text, then the name of an output -> [n, ...]."""
Write = Callable[[Path | None, Parts], None]
_MOST_COLUMNS = 10_000


def find(to: Path | None) -> Write:
    """Return what writes a file of this name; None is standard output.

    Raises:
        RunError: BAD_FLAG where its ending is that of no format, or the format needs a library.
    """
    if to is None:
        return lambda _, parts: _lines(sys.stdout, parts)
    if to.suffix not in WRITERS:
        raise RunError(
            ExitCode.BAD_FLAG, f"--to={to}: the name does not end in {', '.join(WRITERS)}"
        )
    if to.suffix == ".parquet":
        _need_pyarrow(to)
    return WRITERS[to.suffix]


def _columns(parts: Parts) -> Parts:
    """Add to each vector the place of its largest number: of a classifier this is the class."""
    for part in parts:
        outputs = {name: values for name, values in part.items() if name != "source"}
        found: dict[str, Any] = {"source": part["source"]}
        for name, values in outputs.items():
            if values.ndim == 2 and values.shape[1] > 1 and values.dtype.kind in "iuf":
                found["largest" if len(outputs) == 1 else f"{name}_largest"] = values.argmax(-1)
            found[name] = values
        yield found


def _lines(file: IO[str], parts: Parts) -> None:
    for part in _columns(parts):
        rows = zip(*(_plain(values) for values in part.values()), strict=True)
        for row in rows:
            file.write(strict_json.dumps(dict(zip(part, row, strict=True))) + "\n")


def _to_lines(to: Path, parts: Parts) -> None:
    with _replaced(to) as partial, partial.open("w", encoding="utf-8") as file:
        _lines(file, parts)


def _to_csv(to: Path, parts: Parts) -> None:
    with _replaced(to) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        for index, part in enumerate(_columns(parts)):
            flat = {n: x for name, values in part.items() for n, x in _flat(name, values, to)}
            if not index:
                writer.writerow(flat)
            writer.writerows(zip(*flat.values(), strict=True))


def _flat(name: str, values: Any, to: Path) -> Iterator[tuple[str, list[str]]]:
    """Give a column for each element: `logits_0`, `logits_1`, ...; a single one has no number."""
    if name == "source":
        yield name, values
        return
    shape = values.shape[1:]
    if (count := int(np.prod(shape))) > _MOST_COLUMNS:
        raise RunError(
            ExitCode.BAD_FLAG,
            f"--to={to}: {name!r} is {list(shape)} of an example, {count} columns; write .npz or "
            ".parquet",
        )
    for place in np.ndindex(*shape):
        numbers = [] if count == 1 else map(str, place)
        column = values[(slice(None), *place)]
        texts = _plain(column) if column.dtype.kind == "O" else column.astype(str).tolist()
        yield "_".join([name, *numbers]), texts


def _to_parquet(to: Path, parts: Parts) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    writer = None
    with _replaced(to) as partial:
        try:
            for part in _columns(parts):
                batch = pa.record_batch({name: _arrow(values) for name, values in part.items()})
                writer = writer or parquet.ParquetWriter(partial, batch.schema)
                writer.write_batch(batch)
        finally:
            if writer:
                writer.close()


def _arrow(values: Any) -> "pa.Array":
    """Return a column of Arrow: what has a shape is a list of fixed length, also nested."""
    import pyarrow as pa

    if isinstance(values, list) or values.dtype.kind == "O":
        return pa.array(_plain(values))
    if values.ndim == 1 or values.shape[1:] == (1,):
        return pa.array(values.ravel())
    return pa.FixedSizeListArray.from_arrays(
        _arrow(values.reshape(-1, *values.shape[2:])), values.shape[1]
    )


def _to_npz(to: Path, parts: Parts) -> None:
    columns: dict[str, list[np.ndarray]] = {}
    for part in _columns(parts):
        for name, values in part.items():
            is_text = isinstance(values, list) or values.dtype.kind == "O"
            array = np.array(_plain(values)) if is_text else values
            columns.setdefault(name, []).append(array)
    with _replaced(to) as partial, partial.open("wb") as file:
        whole: dict[str, Any] = {name: np.concatenate(x) for name, x in columns.items()}
        np.savez(file, **whole)


def _plain(values: Any) -> list[Any]:
    """Return values as Python has them; bytes are text."""
    if isinstance(values, np.ndarray) and values.dtype.kind == "O":
        return np.vectorize(lambda text: text.decode(errors="replace"), [object])(values).tolist()
    return values if isinstance(values, list) else values.tolist()


@contextlib.contextmanager
def _replaced(to: Path) -> Iterator[Path]:
    with local_io(to, "--to"):
        to.parent.mkdir(parents=True, exist_ok=True)
        with files.replaced(to) as partial:
            yield partial


def _need_pyarrow(to: Path) -> None:
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise RunError(
            ExitCode.BAD_FLAG,
            f"--to={to} needs pyarrow: pip install 'lockstep[arrow]', or write .csv or .npz "
            f"({error})",
        ) from error


WRITERS: dict[str, Any] = {
    ".jsonl": _to_lines,
    ".csv": _to_csv,
    ".parquet": _to_parquet,
    ".npz": _to_npz,
}
"""By the ending of the file's name."""
