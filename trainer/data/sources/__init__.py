"""From the name in the config to a dataset; nothing of TensorFlow until examples are read."""

import dataclasses
from collections.abc import Mapping

from common.exit_codes import ExitCode, RunError
from trainer import registry, storage
from trainer.config import DatasetConfig
from trainer.data.info import DatasetInfo, Feature, Shard, Split, hold_out, slice_split
from trainer.data.records import files
from trainer.data.records.files import Stage
from trainer.data.sources import tfds, tfrecord_pattern

_NO_STAGE = Stage()
Shards = dict[str, tuple[Shard, ...]]


def describe(config: DatasetConfig, stage: Stage = _NO_STAGE) -> DatasetInfo:
    """Return what the metadata says of the dataset that the config names.

    Args:
        config: which data.
        stage: where remote files are brought that have to be read for it.

    Raises:
        RunError: BAD_CONFIG or BAD_DATA, with the reason.
    """
    kind, _, rest = config.name.partition(":")
    if config.name == "digits":
        return _describe_tfds(tfds.find_directory("digits", str(tfds.EMBEDDED)), config, stage)
    if kind == "tfds" and rest:
        return _describe_tfds(tfds.find_directory(rest, config.data_dir), config, stage)
    if is_own(config.name):
        return _describe_own(config)
    if _is_pattern(config.name):
        return _describe_pattern(config, stage)
    raise RunError(
        ExitCode.BAD_CONFIG,
        f"config.dataset.name={config.name!r} is not known; allowed: digits, tfds:NAME, "
        "tfds:DIRECTORY, a TFRecord pattern such as data/{split}-*.tfrecord, or module:function",
    )


def is_own(name: str) -> bool:
    """Whether the name of a dataset stands for a function: "package.module:function"."""
    return ":" in name and not name.startswith("tfds:") and not _is_pattern(name)


def _is_pattern(name: str) -> bool:
    return storage.is_remote(name) or "/" in name or "*" in name


def _describe_tfds(folder: str, config: DatasetConfig, stage: Stage) -> DatasetInfo:
    splits = tfds.read_splits(folder)
    skipped: tuple[str, ...] = ()
    if config.skip_bad_records:
        splits, skipped = _count(_needed(splits, config), config, stage)
    else:
        splits |= {name: _sizes(shards) for name, shards in _needed(splits, config).items()}
    features = _sized(tfds.read_features(folder), config)
    return _info(folder, features, splits, config, skipped)


def _describe_pattern(config: DatasetConfig, stage: Stage) -> DatasetInfo:
    features = tfrecord_pattern.read_spec(config.args)
    found = tfrecord_pattern.list_splits(config.name, _split_names(config))
    unknown = {n: tuple(Shard(url, 0) for url in urls) for n, urls in found.items()}
    splits, skipped = _count(unknown, config, stage)
    return _info(config.name, features, splits, config, skipped)


def _describe_own(config: DatasetConfig) -> DatasetInfo:
    from trainer.data.sources import arrays

    function = registry.resolve({}, config.name, "config.dataset.name")
    splits = arrays.call(function, config.name, config.args)
    info = _info(config.name, arrays.features(splits), arrays.shards(splits), config, ())

    def with_arrays(split: Split | None) -> Split | None:
        return split and dataclasses.replace(split, arrays=splits[split.name])

    train = with_arrays(info.train) or info.train
    return dataclasses.replace(info, train=train, evaluation=with_arrays(info.evaluation))


def _info(
    source: str,
    features: Mapping[str, Feature],
    splits: Shards,
    config: DatasetConfig,
    skipped: tuple[str, ...],
) -> DatasetInfo:
    train = slice_split(config.train_split, splits, "config.dataset.train_split")
    evaluation = None
    if config.holdout:
        train, evaluation = hold_out(train, config.holdout)
    elif config.eval_split:
        evaluation = slice_split(config.eval_split, splits, "config.dataset.eval_split")
    return DatasetInfo(source, features, train, evaluation, skipped)


def _count(splits: Shards, config: DatasetConfig, stage: Stage) -> tuple[Shards, tuple[str, ...]]:
    """Count the records that are there; missing ones are damage as well."""
    counted: Shards = {}
    lines: list[str] = []
    for name, expected in splits.items():
        urls = [shard.url for shard in expected]
        counted[name], damaged = tfrecord_pattern.count_records(
            urls, stage, skip_bad=config.skip_bad_records
        )
        lines += damaged
        lines += [
            f"{old.url}: {new.num_examples} of {old.num_examples} records are left"
            for old, new in zip(expected, counted[name], strict=True)
            if new.num_examples < old.num_examples
        ]
    return counted, tuple(lines)


def _sizes(shards: tuple[Shard, ...]) -> tuple[Shard, ...]:
    return tuple(dataclasses.replace(s, num_bytes=files.file_bytes(s.url)) for s in shards)


def _needed(splits: Shards, config: DatasetConfig) -> Shards:
    return {n: shards for n, shards in splits.items() if n in _split_names(config)}


def _split_names(config: DatasetConfig) -> list[str]:
    used = [config.train_split] + [config.eval_split] * (not config.holdout)
    return list(dict.fromkeys(spec.partition("[")[0] for spec in used if spec))


def _sized(features: dict[str, Feature], config: DatasetConfig) -> dict[str, Feature]:
    """Give images of any size the one size that a batch needs."""
    size = config.args.get("image_size")
    sized = {}
    for name, feature in features.items():
        if None in feature.shape and feature.is_image:
            if not (isinstance(size, list | tuple) and len(size) == 2):
                raise RunError(
                    ExitCode.BAD_CONFIG,
                    f"feature {name!r} has images of any size, and "
                    f"config.dataset.args.image_size={size}; give [height, width]",
                )
            channels = feature.shape[-1]
            feature = dataclasses.replace(feature, shape=(*size, channels), resized=True)  # noqa: PLW2901
        elif None in feature.shape:
            raise RunError(
                ExitCode.BAD_CONFIG,
                f"feature {name!r} has the shape {list(feature.shape)}: only images may differ in "
                "size; read the files by pattern with a padded feature spec",
            )
        sized[name] = feature
    return sized
