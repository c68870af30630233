"""Parquet files by pattern: `data/{split}-*.parquet`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trainer.config import DatasetConfig
from trainer.data.info import DatasetInfo
from trainer.data.records.files import Stage
from trainer.data.sources import tables


def describe(config: DatasetConfig, stage: Stage) -> DatasetInfo:
    """See `source.Source`."""
    return tables.describe(config, stage, _read)


open = tables.open


def _read(
    path: Path, url: str, args: Mapping[str, Any], wanted: Sequence[str] | None
) -> tables.Batches:
    from pyarrow import parquet

    del url, args
    file = parquet.ParquetFile(path, memory_map=True, page_checksum_verification=True)
    # A dot in a name would be taken for a path into a nested column.
    some = wanted and not any("." in name for name in wanted) and set(wanted) <= set(_names(file))
    yield from file.iter_batches(columns=wanted if some else None) if file.num_row_groups else ()


def _names(file: Any) -> list[str]:
    return list(file.schema_arrow.names)
