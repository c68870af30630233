"""What all sources of tables share: rows are read once, checked, and kept as columns.

A format gives one function, from a file to batches of Arrow. The rest is here: which columns are
wanted and what their values may be, the classes of a label, and the reader of any row.
"""

import contextlib
import json
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import spelling
from common.exit_codes import ExitCode, RunError
from trainer.config import DatasetConfig
from trainer.data.info import DatasetInfo
from trainer.data.records import columns
from trainer.data.records.column_reader import ColumnReader
from trainer.data.records.files import Stage
from trainer.data.records.read_plan import ReadPlan
from trainer.data.sources import arrow_columns, copied, facts, feature_spec, roles
from trainer.data.sources.source import need, refuse_other_args
from trainer.storage.failures import local_read

if TYPE_CHECKING:
    import pyarrow as pa

Batches = Generator["pa.RecordBatch", None, None]
Read = Callable[[Path, str, Mapping[str, Any], Sequence[str] | None], Batches]
"""From a local file, its URL, `config.dataset.args` and the wanted columns or None to its rows."""

_ROWS = 1024


def describe(
    config: DatasetConfig, stage: Stage, read: Read, args: Sequence[str] = ()
) -> DatasetInfo:
    """See `source.Source`.

    Args:
        config: which data.
        stage: where copies are kept.
        read: of the format.
        args: of `config.dataset.args` that the format has, beside features and image_size.
    """
    refuse_other_args(config, ("features", "image_size", *args))
    need("pyarrow", "arrow", config)
    wanted = feature_spec.chosen(config.args)

    def make(path: Path, url: str, folder: Path) -> None:
        gathered = facts.Facts(config)
        names = list(wanted) if wanted else None
        with contextlib.closing(read(path, url, config.args, names)) as batches:
            rows = _columns(_named(batches, url), url, wanted, gathered)
            columns.write(folder, rows, gathered.found)

    return copied.describe(config, stage, asked(config), make)


def open(plan: ReadPlan) -> ColumnReader:
    """See `source.Source`."""
    return ColumnReader(plan, asked(plan.info.config))


def asked(config: DatasetConfig) -> str:
    """Return what decides the content of a copy, beside the file."""
    args = {name: value for name, value in config.args.items() if name != "image_size"}
    form = config.name.lower().rpartition("/")[2].partition(".")[2]
    ignored = {name: roles.ignored(name, config) for name in {*config.roles, "label"}}
    return json.dumps([form, args, config.roles, ignored], sort_keys=True, default=str)


def _columns(
    batches: Batches,
    url: str,
    wanted: Mapping[str, Mapping[str, Any]] | None,
    gathered: "facts.Facts",
) -> Iterator[columns.Batch]:
    """Give the rows of a file as columns, in parts of at most 1,024."""
    start = 0
    for batch in batches:
        _check_names(batch.schema.names, wanted, url)
        gathered.note_schema(batch.schema)
        names = list(wanted) if wanted else batch.schema.names
        for first in range(0, len(batch), _ROWS):
            part = batch.slice(first, _ROWS)
            arrays = {
                name: arrow_columns.to_array(
                    part.column(name),
                    (wanted or {}).get(name, {}),
                    _where(url, start + first, name),
                )
                for name in names
            }
            yield gathered.note(arrays, wanted or {}, _places(url, start + first))
        start += len(batch)


def _places(url: str, start: int) -> Callable[[str, int], str]:
    return lambda name, row: f"{url}: row {start + row}: column {name!r}"


def _where(url: str, start: int, name: str) -> arrow_columns.Where:
    return lambda row: _places(url, start)(name, row)


def _named(batches: Batches, url: str) -> Batches:
    """Give the batches; what a library finds wrong with a file names the file."""
    import pyarrow as pa

    while True:
        try:
            with local_read(url):
                batch = next(batches)
        except StopIteration:
            return
        except (pa.ArrowException, UnicodeDecodeError) as error:
            reason = " ".join(str(error).split())
            raise RunError(ExitCode.BAD_DATA, f"{url}: {reason}") from error
        yield batch


def _check_names(
    names: Sequence[str], wanted: Mapping[str, Mapping[str, Any]] | None, url: str
) -> None:
    for name in wanted or ():
        if name not in names:
            what = f"{url}: {feature_spec.FIELD}: column"
            raise RunError(ExitCode.BAD_CONFIG, spelling.unknown(what, name, names))
    twice = [n for n in (wanted or names) if list(names).count(n) > 1]
    if twice:
        raise RunError(ExitCode.BAD_DATA, f"{url}: has the column {twice[0]!r} twice; rename one")
