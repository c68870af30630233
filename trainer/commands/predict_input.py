"""What `predict` reads: any source, as a dataset with the features that a run knows."""

import dataclasses
import glob
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from common import spelling
from common.exit_codes import ExitCode, RunError
from trainer.commands.restored import Restored
from trainer.config import DatasetConfig
from trainer.data import sources
from trainer.data.info import DatasetInfo, Feature
from trainer.data.records.files import Stage
from trainer.data.records.read_plan import ReadPlan, Served
from trainer.data.sources import (
    array_record,
    custom,
    image_folder,
    numpy_files,
    roles,
    tfds,
    tfrecord_pattern,
)
from trainer.data.sources.source import Source
from trainer.storage.listing import MAGIC

_RECORDS = (tfrecord_pattern, array_record)


def describe(
    restored: Restored,
    features: Mapping[str, Feature],
    data: str = "",
    split: str = "",
    args: Mapping[str, Any] | None = None,
) -> DatasetInfo:
    """Return what is to be predicted, as the training split of a dataset without another.

    Args:
        restored: the run.
        features: that are read, as the run has them stored; the data need no others.
        data: a path, or a name as `dataset.name`; empty: the data of the run.
        split: or slice; empty: all, or of several splits the one that the run evaluates.
        args: of `dataset.args`, in place of those that follow from the run.

    Raises:
        RunError: BAD_FLAG where there is no such data, BAD_DATA where they hold other features;
            what the source raises.
    """
    dataset = restored.config.dataset
    if data:
        return of_data(dataset, features, data, split, args or {})
    info = restored.info
    if split:
        other = dataclasses.replace(dataset, eval_split=split, holdout=0)
        of_split = dataclasses.replace(restored.config, dataset=other)
        info = sources.describe(roles.of_task(of_split))
    if info.evaluation is None:
        raise RunError(
            ExitCode.BAD_FLAG, "predict: the run has no evaluation split; give --split, or data"
        )
    return dataclasses.replace(info, train=info.evaluation, evaluation=None, features=features)


def of_data(
    dataset: DatasetConfig,
    features: Mapping[str, Feature],
    data: str,
    split: str = "",
    args: Mapping[str, Any] = types.MappingProxyType({}),
) -> DatasetInfo:
    """Return other data than those of a run; see `describe`.

    Args:
        dataset: of the run.
        features: see `describe`.
        data: a path or a name.
        split: see `describe`.
        args: see `describe`.
    """
    info = sources.describe(_config(dataset, features, data, split, args))
    return dataclasses.replace(info, features=_same(info.features, features, data))


def make_places(info: DatasetInfo) -> Callable[[np.ndarray], list[str]]:
    """Return the function from examples to where they come from.

    That is the file of an image, `file#number` of a table or of records, or `split#number`.
    """
    split = info.train
    if split.arrays is not None or split.batches is not None or split.skipped:
        return lambda ids: [f"{split.name}#{split.start + number}" for number in ids]
    firsts = np.cumsum([0, *(section.size for section in split.sections)])
    images = None
    if sources.find(info.config.name).source is image_folder:
        visits = range(len(split.sections))
        images = image_folder.open(ReadPlan(info, split, info.features, visits, Stage()))

    def places(ids: np.ndarray) -> list[str]:
        at = np.searchsorted(firsts, ids, "right") - 1
        if images:
            return images.places(Served(ids, at, at))
        found = [(split.sections[k], number - firsts[k]) for k, number in zip(at, ids, strict=True)]
        return [f"{section.shard.url}#{section.first + number}" for section, number in found]

    return places


def _config(
    dataset: DatasetConfig,
    features: Mapping[str, Feature],
    data: str,
    split: str,
    args: Mapping[str, Any],
) -> DatasetConfig:
    name = source_name(data)
    source = sources.find(name).source
    inherited = dataset.args if source is sources.find(dataset.name).source else {}
    args = {**_args(source, inherited, features), **args}
    return DatasetConfig(
        name,
        dataset.data_dir,
        train_split=split or (dataset.eval_split if sources.has_splits(name, args) else "train"),
        eval_split="",
        elements=dataset.elements,
        roles={name: feature.role for name, feature in features.items() if feature.role},
        args=args,
    )


def source_name(data: str) -> str:
    """Return a path as `dataset.name` takes it, and names as they are.

    Raises:
        RunError: BAD_FLAG where there is nothing at the path.
    """
    path = Path(data).expanduser()
    if path.is_dir():
        return f"images:{path.absolute()}"
    if path.is_file():
        return glob.escape(str(path.absolute()))
    if not (MAGIC.search(data) or "{split}" in data or ":" in data or data == "digits"):
        raise RunError(
            ExitCode.BAD_FLAG,
            f"no such folder or file: {data}; give a path, or a name as dataset.name",
        )
    return data


def _args(
    source: Source, inherited: Mapping[str, Any], features: Mapping[str, Feature]
) -> Mapping[str, Any]:
    """Return `dataset.args` that choose these features, and say of them what the run knows."""
    told = inherited.get("features") or {}
    fields = told if isinstance(told, Mapping) else {}
    if source is custom:
        return inherited
    if source is numpy_files:
        return {"features": {name: fields.get(name, name) for name in features}}
    if source is tfds:
        sizes = [list(f.shape[:2]) for f in features.values() if f.resized]
        size = {"image_size": sizes[0]} if sizes else {}
        return {**size, **inherited, "features": {n: fields.get(n, {}) for n in features}}
    known = {n: {**_spec(f, source), **fields.get(n, {})} for n, f in features.items()}
    kept = {n: value for n, value in inherited.items() if n != "pairs" or len(features) > 1}
    if "pairs" in kept:
        kept["pairs"] = {n: folder for n, folder in kept["pairs"].items() if n in features}
    return {**kept, "features": known}


def _spec(feature: Feature, source: Source) -> dict[str, Any]:
    """Return a feature in the words of a feature spec."""
    plain = Feature((), "")
    fields = {name: value for name, value in vars(feature).items() if value != vars(plain)[name]}
    unsaid = {"ignore", "classes"} if source in _RECORDS else {"ignore", "classes", "sequence"}
    fields = {name: value for name, value in fields.items() if name not in unsaid}
    is_file = source is image_folder and feature.is_image
    return {**fields, "shape": list(feature.shape), **({"encoding": "image"} if is_file else {})}


def _same(
    found: Mapping[str, Feature], features: Mapping[str, Feature], data: str
) -> dict[str, Feature]:
    """Return those features of the data that are read; refuse others than the run has."""
    for name, feature in features.items():
        if name not in found:
            raise RunError(ExitCode.BAD_DATA, spelling.unknown(f"{data}: feature", name, found))
        is_same = [(f.shape, f.dtype, f.is_image, f.num_classes) for f in (found[name], feature)]
        if is_same[0] != is_same[1]:
            raise RunError(
                ExitCode.BAD_DATA,
                f"{data}: feature {name!r} is {_words(found[name])}, and {_words(feature)} in the "
                "data of the run; convert it",
            )
    return {name: found[name] for name in features}


def _words(feature: Feature) -> str:
    return f"{feature.dtype}{list(feature.shape)}{' of pixels' if feature.is_image else ''}"
