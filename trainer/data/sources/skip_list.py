"""The skip list: the records to leave out, as `trainer.data verify` has written them.

    {"damaged": ["train-0.tfrecord: byte 812 has a damaged length"],
     "records": [{"split": "train", "shard": 0, "file": "train-0.tfrecord",
                  "content": "40 examples, ...", "record": 7, "reason": "..."}]}

Nothing else is left out: other damage still ends a run, and other files are refused. The list is
part of the fingerprint.
"""

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from common.exit_codes import ExitCode, RunError
from trainer.config import DatasetConfig
from trainer.data.info import DatasetInfo, Feature, Split
from trainer.data.records.files import read_text
from trainer.data.records.read_plan import ReadPlan, Served
from trainer.data.sources.source import Examples

if TYPE_CHECKING:
    import tensorflow as tf

_FIELD = "config.dataset.skip_list"
_AGAIN = "write it again: python -m trainer.data verify"


class Bad(NamedTuple):
    """A record that cannot be used.

    Attributes:
        split: whole, by its name.
        shard: number in the split.
        file: name of the shard.
        content: of the shard, as `Shard.content` tells it.
        record: number in the shard.
        reason: with place and key.
    """

    split: str
    shard: int
    file: str
    content: str
    record: int
    reason: str


def text(info: DatasetInfo, bad: Iterable[Bad]) -> str:
    """Return a list of the damage that a description tells of, and of these records."""
    damaged = [_without_folder(line, info) for line in info.skipped]
    fields = {"damaged": damaged, "records": [one._asdict() for one in bad]}
    return json.dumps(fields, indent=1) + "\n"


def describe(config: DatasetConfig, plainly: Callable[[DatasetConfig], DatasetInfo]) -> DatasetInfo:
    """Return the dataset without the records that the list of the config names.

    Args:
        config: with a list.
        plainly: describes a dataset without looking at the list.

    Raises:
        RunError: BAD_CONFIG where the list is none, or of other files; BAD_DATA naming damage that
            is not in it.
    """
    damaged, bad = _read(config.skip_list)
    info = plainly(
        dataclasses.replace(config, skip_bad_records=config.skip_bad_records or bool(damaged))
    )
    for line in info.skipped:
        if not config.skip_bad_records and _without_folder(line, info) not in damaged:
            raise RunError(ExitCode.BAD_DATA, f"{line}; not in {_FIELD}={config.skip_list}")
    return dataclasses.replace(
        info,
        train=_without(info.train, bad, config),
        evaluation=info.evaluation and _without(info.evaluation, bad, config),
    )


class OthersExamples:
    """See `source.Examples`: those of a split that are not left out.

    Args:
        plan: of a split with examples that are left out.
        open_whole: opens a split without any.
    """

    def __init__(self, plan: ReadPlan, open_whole: Callable[[ReadPlan], Examples]) -> None:
        splits = {"train": plan.info.train, "evaluation": plan.info.evaluation}
        whole = {use: split and _whole(split) for use, split in splits.items()}
        info = dataclasses.replace(plan.info, **whole)  # type: ignore[arg-type]
        self._examples = open_whole(dataclasses.replace(plan, info=info, split=_whole(plan.split)))
        # Ids of a split skip none: behind k records that are left out an id is k too low.
        left_out = np.asarray(plan.split.left_out)
        self._steps = left_out - np.arange(len(left_out))
        self.stored: Mapping[str, Feature] = self._examples.stored
        self.example_bytes = self._examples.example_bytes

    def read(self, served: Served) -> list[np.ndarray]:
        """See `source.Examples`."""
        return self._examples.read(self._raised(served))

    def decode(self, stored: "tf.data.Dataset", size: int) -> "tf.data.Dataset":
        """See `source.Examples`."""
        return self._examples.decode(stored, size)

    def check(self, served: Served) -> None:
        """See `source.Examples`."""
        self._examples.check(self._raised(served))

    def close(self) -> None:
        """See `source.Examples`."""
        self._examples.close()

    def _raised(self, served: Served) -> Served:
        ids = served.ids + np.searchsorted(self._steps, served.ids, side="right")
        return served._replace(ids=ids)


def _read(path: str) -> tuple[list[str], list[Bad]]:
    try:
        fields = json.loads(read_text(path))
        return list(fields["damaged"]), [Bad(**one) for one in fields["records"]]
    except RunError as error:
        raise RunError(ExitCode.BAD_CONFIG, f"{_FIELD}: {error.reason}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(
            ExitCode.BAD_CONFIG, f"{_FIELD}={path} is no skip list ({error}); {_AGAIN}"
        ) from error


def _without(split: Split, bad: Iterable[Bad], config: DatasetConfig) -> Split:
    names = _names(split.name)
    starts = np.cumsum([0, *(shard.num_examples for shard in split.shards)]).tolist()
    known = {(s.name, s.content): at for s, at in zip(split.shards, starts, strict=False)}
    places = set()
    for one in bad:
        if (one.file, one.content) in known:
            places.add(known[one.file, one.content] + one.record)
        elif _names(one.split) <= names:
            raise RunError(
                ExitCode.BAD_CONFIG,
                f"{_FIELD}={config.skip_list} is of other data: {one.file} of split "
                f"{one.split!r} held {one.content}; {_AGAIN}",
            )
    ids, count = [], 0
    for start, stop in split.ranges:
        ids += [count + place - start for place in sorted(places) if start <= place < stop]
        count += stop - start
    here = dataclasses.replace(split, skipped=tuple(ids))
    if not here.num_examples:
        raise RunError(ExitCode.BAD_DATA, f"{_FIELD} leaves nothing of split {split.name!r}")
    return here


def _names(spec: str) -> set[str]:
    """Return the splits that a name such as `train[:20%]+train[40%:]` joins."""
    return {part.partition("[")[0].strip() for part in spec.split("+")}


def _whole(split: Split) -> Split:
    return dataclasses.replace(split, skipped=())


def _without_folder(line: str, info: DatasetInfo) -> str:
    """Files may be moved together with their list."""
    for split in filter(None, (info.train, info.evaluation)):
        for folder in {shard.url.removesuffix(shard.name) for shard in split.shards} - {""}:
            line = line.replace(folder, "")
    return line
