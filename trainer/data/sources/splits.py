"""From the splits that a source has to the two that the config asks for."""

import dataclasses
import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from common.exit_codes import ExitCode, RunError
from trainer import storage
from trainer.config import DatasetConfig
from trainer.data.info import Arrays, DatasetInfo, Feature, Shard, Split
from trainer.data.sources import roles

Shards = dict[str, tuple[Shard, ...]]
"""Of each split, by its name."""

_SLICE = re.compile(r"(?P<name>[\w.-]+)(\[(?P<start>-?\d+%?)?:(?P<stop>-?\d+%?)?\])?")


def names(config: DatasetConfig) -> list[str]:
    """Return the splits of which the config uses something."""
    used = [config.train_split] + [config.eval_split] * (not config.holdout)
    parts = [part for spec in used if spec for part in spec.split("+")]
    found = dict.fromkeys(part.strip().partition("[")[0] for part in parts)
    return [name for name in found if name] or ["train"]


def find_files(config: DatasetConfig) -> Shards:
    """Return the files that the pattern of the config matches, by split, sorted; not yet counted.

    Without `{split}` in the pattern all are `train`. Hidden files are left out, as a shell does.

    Raises:
        RunError: BAD_CONFIG where a split has none.
    """
    used = names(config) if "{split}" in config.name else ["train"]
    return {name: list_files(config.name.replace("{split}", name)) for name in used}


def list_files(pattern: str) -> tuple[Shard, ...]:
    """Return the files that a pattern matches, sorted; hidden ones are left out.

    Raises:
        RunError: BAD_CONFIG where there is none.
    """
    is_hidden = pattern.rpartition("/")[2].startswith(".")
    shards = [Shard(file.url, 0) for file in storage.list_files(pattern)]
    found = tuple(shard for shard in shards if is_hidden or not shard.name.startswith("."))
    if not found:
        raise RunError(
            ExitCode.BAD_CONFIG, f"config.dataset.name={pattern!r} matches no file; correct it"
        )
    return found


def shared_features(found: Mapping[str, Mapping[str, Feature]]) -> dict[str, Feature]:
    """Return the features of every split, by its name, which have to be those of all.

    Raises:
        RunError: BAD_CONFIG naming two splits that differ.
    """
    first = dict(next(iter(found.values()), {}))
    for split, features in found.items():
        if features != first:
            raise RunError(
                ExitCode.BAD_CONFIG,
                f"config.dataset.name: splits {next(iter(found))!r} and {split!r} have different "
                f"features: {first} and {dict(features)}",
            )
    return first


def choose(
    config: DatasetConfig,
    source: str,
    features: Mapping[str, Feature],
    shards: Mapping[str, tuple[Shard, ...]],
    *,
    skipped: Sequence[str] = (),
    arrays: Mapping[str, Arrays] | None = None,
    batches: Mapping[str, Any] | None = None,
) -> DatasetInfo:
    """Return the dataset, cut as the config says: `train`, `train[:42000]`, `train[-10%:]`.

    Args:
        config: which splits, or how many examples are held out.
        source: for people, where the examples come from.
        features: of an example.
        shards: of every split.
        skipped: see `DatasetInfo`.
        arrays: of every split, where the examples are not in files.
        batches: the `PyDataset` of every split, where they are read from one.

    Raises:
        RunError: BAD_CONFIG where the form is wrong, there is no such split, or it is empty.
    """
    whole = {
        name: Split(
            name,
            files,
            start=0,
            stop=sum(file.num_examples for file in files),
            arrays=(arrays or {}).get(name),
            batches=(batches or {}).get(name),
        )
        for name, files in shards.items()
    }
    train = _slice(config.train_split, whole, "config.dataset.train_split")
    evaluation = None
    if config.holdout:
        train, evaluation = _hold_out(train, config.holdout)
    elif config.eval_split:
        evaluation = _slice(config.eval_split, whole, "config.dataset.eval_split")
    features = roles.assign(features, config)
    return DatasetInfo(config, source, features, train, evaluation, tuple(skipped))


def _slice(spec: str, whole: Mapping[str, Split], field: str) -> Split:
    parts = [_part(part.strip(), whole, f"{field}={spec!r}") for part in spec.split("+")]
    if len(parts) == 1:
        return parts[0]
    used = list(dict.fromkeys(part.name for part in parts))
    totals = itertools.accumulate((whole[n].num_examples for n in used), initial=0)
    begins = dict(zip(used, totals, strict=False))
    joined = tuple((begins[p.name] + p.start, begins[p.name] + p.stop) for p in parts)
    for (_, stop), (start, _) in itertools.pairwise(sorted(joined)):
        if start < stop:
            raise RunError(
                ExitCode.BAD_CONFIG,
                f"{field}={spec!r}: its parts overlap in {stop - start} examples, which would be "
                "served twice an epoch",
            )
    shards = tuple(shard for name in used for shard in whole[name].shards)
    count = sum(stop - start for start, stop in joined)
    arrays = _arrays([whole[name] for name in used])
    batches = whole[used[0]].batches
    if batches is not None and len(used) > 1:
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"{field}={spec!r} joins two PyDatasets; return one of both from the data function",
        )
    return Split(spec, shards, 0, count, arrays, batches, joined=joined)


def _arrays(splits: Sequence[Split]) -> "Arrays | None":
    """Return the arrays of several splits, end to end."""
    first = splits[0].arrays
    if first is None or len(splits) == 1:
        return first
    return {n: np.concatenate([(split.arrays or {})[n] for split in splits]) for n in first}


def _part(text: str, whole: Mapping[str, Split], where: str) -> Split:
    match = _SLICE.fullmatch(text)
    if match is None:
        reason = " is not a split such as train, train[:42000] or train[:20%]+train[40%:]"
    elif match["name"] not in whole:
        reason = f": no such split; the dataset has {', '.join(sorted(whole))}"
    else:
        split = whole[match["name"]]
        start = _bound(match["start"] or "0", split.num_examples)
        stop = _bound(match["stop"] or "100%", split.num_examples)
        if start < stop:
            return dataclasses.replace(split, start=start, stop=stop)
        reason = f" is empty: the split {match['name']!r} holds {split.num_examples} examples"
    raise RunError(ExitCode.BAD_CONFIG, f"{where}{reason}")


def _bound(text: str, total: int) -> int:
    value = round(int(text[:-1]) * total / 100) if text.endswith("%") else int(text)
    return min(max(value + total if value < 0 else value, 0), total)


def _hold_out(split: Split, count: int) -> tuple[Split, Split]:
    """Cut the last `count` examples off; returns (rest, cut off)."""
    if count >= split.num_examples:
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"config.dataset.holdout={count} leaves nothing of {split.num_examples} examples",
        )
    middle = split.stop - count
    return dataclasses.replace(split, stop=middle), dataclasses.replace(split, start=middle)
