"""Arrow files by pattern, streams too: Feather, and `data-*.arrow` of a Hugging Face folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trainer.config import DatasetConfig
from trainer.data.info import DatasetInfo
from trainer.data.records.files import Stage
from trainer.data.sources import tables

_MAGIC = b"ARROW1"


def describe(config: DatasetConfig, stage: Stage) -> DatasetInfo:
    """See `source.Source`."""
    return tables.describe(config, stage, _read)


open = tables.open


def _read(
    path: Path, url: str, args: Mapping[str, Any], wanted: Sequence[str] | None
) -> tables.Batches:
    import pyarrow as pa

    del url, args, wanted
    with pa.memory_map(str(path)) as file:
        is_file = file.read(len(_MAGIC)) == _MAGIC
        file.seek(0)
        if is_file:
            reader = pa.ipc.open_file(file)
            yield from (reader.get_batch(i) for i in range(reader.num_record_batches))
        else:
            yield from pa.ipc.open_stream(file)
