"""CSV files by pattern, plain or compressed with gzip: `data/{split}.csv`, `data/{split}.tsv.gz`.

The types of columns are those of the first 16 MiB; where a later value is of another, the file is
refused with its place, and the type has to be written.
"""

import csv
import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from common.exit_codes import ExitCode, RunError
from trainer.config import DatasetConfig
from trainer.data.info import DatasetInfo
from trainer.data.records.files import Stage
from trainer.data.sources import feature_spec, tables

if TYPE_CHECKING:
    import pyarrow as pa

_BLOCK_BYTES = 16 << 20
_EXACT = 2**53


def describe(config: DatasetConfig, stage: Stage) -> DatasetInfo:
    """See `source.Source`.

    `config.dataset.args` may hold `delimiter`, and `columns`: the names where the file has none.
    """
    return tables.describe(config, stage, _read, ("delimiter", "columns"))


open = tables.open


def _read(
    path: Path, url: str, args: Mapping[str, Any], wanted: Sequence[str] | None
) -> tables.Batches:
    from pyarrow import csv as arrow_csv

    delimiter = args.get("delimiter") or ("\t" if ".tsv" in url.lower() else ",")
    names = list(args.get("columns") or _header(path, url, delimiter))
    given = _dtypes(args)
    chosen = [n for n in wanted or names if n in names]
    with (
        _opened(path) as file,
        arrow_csv.open_csv(
            file,
            arrow_csv.ReadOptions(block_size=_BLOCK_BYTES, column_names=args.get("columns")),
            arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            arrow_csv.ConvertOptions(
                column_types=given,
                # A value of another column that cannot be read is no reason to refuse the file.
                include_columns=chosen if len(chosen) == len(wanted or names) else None,
            ),
        ) as reader,
    ):
        start = 0
        for batch in reader:
            _check_guessed(batch, set(given), url, start)
            start += len(batch)
            yield batch


def _opened(path: Path) -> BinaryIO:
    with path.open("rb") as file:
        is_compressed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if is_compressed else path.open("rb")  # type: ignore[return-value]


def _header(path: Path, url: str, delimiter: str) -> list[str]:
    with _opened(path) as file:
        lines = (line.decode("utf-8-sig") for line in file)
        names = next(csv.reader(lines, delimiter=delimiter), [])
    if any(_is_number(name) for name in names):
        raise RunError(
            ExitCode.BAD_DATA,
            f"{url}: the first line holds numbers and no names of columns: {names}; where the "
            "file has no header, write the names: --config.dataset.args.columns",
        )
    return names


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _dtypes(args: Mapping[str, Any]) -> dict[str, str]:
    """Return the types that are parsed: a narrow float is made of a wide one."""
    fields = feature_spec.chosen(args) or {}
    dtypes = {name: given["dtype"] for name, given in fields.items() if "dtype" in given}
    return {n: "float64" if dtype == "float16" else dtype for n, dtype in dtypes.items()}


def _check_guessed(batch: "pa.RecordBatch", given: set[str], url: str, start: int) -> None:
    """Refuse whole numbers that became floats because they are too long for an integer."""
    import pyarrow as pa

    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if name in given or not pa.types.is_floating(column.type):
            continue
        values = column.to_numpy(zero_copy_only=False)
        large = np.flatnonzero(np.isfinite(values) & (np.abs(values) >= _EXACT))
        if large.size:
            row = int(large[0])
            raise RunError(
                ExitCode.BAD_DATA,
                f"{url}: row {start + row}: column {name!r} is {values[row]:.0f}: as a float it "
                f'may have lost its last digits; write its dtype, such as {{"{name}": '
                f'{{"dtype": "float64"}}}}, in {feature_spec.FIELD}',
            )
