"""WebDataset tars by pattern: `data/{split}-*.tar`.

Members that share a name up to its first dot are one example. What follows the dot says what a
member is: `jpg`, `png`: an image; `cls`: a whole number; `txt`: text; `npy`: an array. The members
of a feature are named by `args={"members": {"image": "jpg;png", "label": "cls"}}`.
"""

import contextlib
import functools
import io
import itertools
import json
import os
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import google_crc32c
import numpy as np

from common import spelling
from common.exit_codes import ExitCode, RunError
from trainer.config import DatasetConfig
from trainer.data.info import DatasetInfo, Feature
from trainer.data.records import columns, compressed
from trainer.data.records.column_reader import ColumnReader, OpenColumns, check_same
from trainer.data.records.files import Stage, open_shards
from trainer.data.records.read_plan import ReadPlan
from trainer.data.sources import (
    arrays,
    arrow_columns,
    copied,
    facts,
    feature_spec,
    image_kinds,
    tables,
)
from trainer.data.sources.source import refuse_other_args
from trainer.storage.failures import local_read

_FIELD = "config.dataset.args.members"
_IMAGES = ("jpg", "jpeg", "png", "bmp", "gif")
_NUMBERS = ("cls", "cls2", "index", "inx", "id")
_TEXTS = ("txt", "text", "transcript")
_ROWS = 256
_MEMBERS = {"image": ";".join(_IMAGES), "label": "cls"}


class Member(NamedTuple):
    """A file in a tar."""

    name: str
    kind: str
    offset: int
    data: bytes


def describe(config: DatasetConfig, stage: Stage) -> DatasetInfo:
    """See `source.Source`: every tar is read once, and where its images are is kept."""
    members = _members(config)

    def make(path: Path, url: str, folder: Path) -> None:
        plain = compressed.plain(path, url, stage.plain_path)
        gathered = facts.Facts(config)
        rows = _rows(plain, url, members, gathered, feature_spec.chosen(config.args) or {})
        columns.write(folder, rows, gathered.found)

    return copied.describe(config, stage, tables.asked(config), make)


def open(plan: ReadPlan) -> "TarReader":
    """See `source.Source`."""
    return TarReader(plan, tables.asked(plan.info.config))


class TarReader(ColumnReader):
    """See `source.Examples`: images are read where they lie in their tar."""

    def __init__(self, plan: ReadPlan, asked: str) -> None:
        super().__init__(plan, asked)
        urls = [section.shard.url for section in self._sections]
        self._tars = self._closing.enter_context(open_shards(urls, plan.visits, plan.stage))

    def _open_copy(self, url: str, folder: Path, visit: int) -> OpenColumns:
        return _OpenTar(self._tars(visit), url, folder, self._plan.features)


class _OpenTar(OpenColumns):
    def __init__(
        self,
        opened: contextlib.AbstractContextManager[Path],
        url: str,
        folder: Path,
        features: Mapping[str, Feature],
    ) -> None:
        super().__init__(url, folder, features)
        path = self.closing.enter_context(opened)
        with local_read(url):
            self._file = os.open(path, os.O_RDONLY)
        self.closing.callback(os.close, self._file)

    def read_files(self, name: str, numbers: np.ndarray) -> list[bytes]:
        spans = self.columns.read(name, numbers).tolist()
        with local_read(self.url):
            return [
                check_same(os.pread(self._file, size, offset), size, crc, self.where(number))
                for number, (offset, size, crc) in zip(numbers.tolist(), spans, strict=True)
            ]


def _members(config: DatasetConfig) -> dict[str, list[str]]:
    """Return the kinds of members of each feature, the ones that may be."""
    refuse_other_args(config, ("members", "features", "image_size"))
    given = config.args.get("members", _MEMBERS)
    if not isinstance(given, Mapping) or not all(isinstance(k, str) and k for k in given.values()):
        raise RunError(
            ExitCode.BAD_CONFIG, f"{_FIELD}={given!r} is no mapping such as {json.dumps(_MEMBERS)}"
        )
    wanted = feature_spec.chosen(config.args) or given
    for name in wanted:
        if name not in given:
            raise RunError(
                ExitCode.BAD_CONFIG, spelling.unknown(f"{feature_spec.FIELD}: feature", name, given)
            )
    return {name: given[name].lower().split(";") for name in wanted}


def _rows(
    path: Path,
    url: str,
    members: Mapping[str, list[str]],
    gathered: facts.Facts,
    fields: facts.Fields,
) -> Iterator[columns.Batch]:
    """Give the examples of a tar as columns; of an image where it is, how long, and its CRC-32C."""
    examples = _examples(path, url)
    while part := list(itertools.islice(examples, _ROWS)):
        batch, pointed = {}, []
        places = _places([key for key, _ in part], url)
        for name, kinds in members.items():
            picked = [_pick(members, kinds, name, f"{url}: {key!r}") for key, members in part]
            if all(member.kind.rpartition(".")[2] in _IMAGES for member in picked):
                pointed.append(name)
                for member in picked:
                    where = f"{url}: {member.name}"
                    gathered.note_images(name, image_kinds.read_kind(member.data, where))
                batch[name] = np.array([_span(member) for member in picked], np.int64)
            else:
                values = _stack([_value(member, url) for member in picked], picked, url)
                dtype = fields.get(name, {}).get("dtype")
                batch[name] = (
                    _as(dtype, values, functools.partial(places, name)) if dtype else values
                )
        yield gathered.note(batch, fields, places, pointed)


def _places(keys: Sequence[str], url: str) -> Callable[[str, int], str]:
    return lambda name, row: f"{url}: {keys[row]!r}: {name!r}"


def _examples(path: Path, url: str) -> Iterator[tuple[str, dict[str, Member]]]:
    """Give the members of each example: neighbours of one name."""
    done: set[str] = set()
    with _named(url), tarfile.open(path, "r:") as tar:
        files = (_member(tar, info, url) for info in tar if _is_ours(info, url))
        for key, group in itertools.groupby(files, lambda member: _split(member.name)[0]):
            if key in done:
                raise RunError(
                    ExitCode.BAD_DATA,
                    f"{url}: the members of {key!r} do not lie together; pack the tar anew, sorted",
                )
            done.add(key)
            example: dict[str, Member] = {}
            for member in group:
                if member.kind in example:
                    raise RunError(ExitCode.BAD_DATA, f"{url}: holds {member.name} twice")
                example[member.kind] = member
            yield key, example


@contextlib.contextmanager
def _named(url: str) -> Iterator[None]:
    try:
        with local_read(url):
            yield
    except tarfile.TarError as error:
        raise RunError(ExitCode.BAD_DATA, f"{url}: is no whole tar: {error}") from error


def _is_ours(info: tarfile.TarInfo, url: str) -> bool:
    """Whether a member is a file that is read; hidden ones are not."""
    hidden = info.name.rpartition("/")[2].startswith(".")
    if not info.isdir() and not hidden and (not info.isreg() or info.issparse()):
        raise RunError(
            ExitCode.BAD_DATA, f"{url}: {info.name} is a link or no plain file; pack the file"
        )
    return info.isreg() and not hidden


def _member(tar: tarfile.TarFile, info: tarfile.TarInfo, url: str) -> Member:
    file = tar.extractfile(info)
    data = file.read() if file else b""
    if len(data) != info.size:
        raise RunError(ExitCode.BAD_DATA, f"{url}: is cut off in {info.name}; bring back the file")
    return Member(info.name, _split(info.name)[1], info.offset_data, data)


def _split(name: str) -> tuple[str, str]:
    """Return the key of a member, with its folder, and its kind."""
    folder, _, file = name.rpartition("/")
    key, _, kind = file.partition(".")
    return f"{folder}/{key}" if folder else key, kind.lower()


def _span(member: Member) -> tuple[int, int, int]:
    return member.offset, len(member.data), google_crc32c.value(member.data)


def _value(member: Member, url: str) -> Any:
    """Return what a member that is no image holds: a number, an array, or bytes of a text."""
    kind = member.kind.rpartition(".")[2]
    try:
        if kind in _NUMBERS:
            return np.int64(int(member.data))
        if kind == "npy":
            return np.load(io.BytesIO(member.data), allow_pickle=False)
        if kind in _TEXTS:
            return member.data.decode().encode()
    except (ValueError, OverflowError, EOFError) as error:
        raise RunError(ExitCode.BAD_DATA, f"{url}: {member.name}: {error}") from error
    allowed = ", ".join((*_IMAGES, *_NUMBERS, *_TEXTS, "npy"))
    raise RunError(
        ExitCode.BAD_CONFIG, f"{url}: {member.name} is not read; allowed members: {allowed}"
    )


def _stack(values: list[Any], picked: list[Member], url: str) -> np.ndarray:
    if isinstance(values[0], bytes):
        return columns.objects(values)
    for value, member in zip(values, picked, strict=True):
        if value.dtype != values[0].dtype or value.shape != values[0].shape:
            raise RunError(
                ExitCode.BAD_DATA,
                f"{url}: {member.name} is {value.dtype}{list(value.shape)}, "
                f"{picked[0].name} {values[0].dtype}{list(values[0].shape)}",
            )
    return arrays.plain(np.stack(values), f"{url}: {picked[0].name}")


def _as(dtype: str, values: np.ndarray, where: arrow_columns.Where) -> np.ndarray:
    """Return the values in the dtype that the config gives."""
    if (values.dtype.kind == "O") != (dtype == "string"):
        raise RunError(ExitCode.BAD_DATA, f"{where(0)} is no {dtype}")
    return values if dtype == "string" else arrow_columns.cast(values, np.dtype(dtype), where)


def _pick(example: Mapping[str, Member], kinds: list[str], name: str, where: str) -> Member:
    found = [example[kind] for kind in kinds if kind in example]
    if len(found) != 1:
        held = ", ".join(sorted(example))
        wanted = " or ".join(kinds)
        raise RunError(
            ExitCode.BAD_DATA,
            f"{where}: feature {name!r} is one member {wanted}, and it has {held}; name the "
            f"members in {_FIELD}",
        )
    return found[0]
