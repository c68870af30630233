"""ArrayRecord files of `tf.train.Example`s by pattern, with a feature spec as for TFRecords."""

import dataclasses

from trainer.config import DatasetConfig
from trainer.data.info import DatasetInfo, Shard
from trainer.data.records.array_record import ArrayRecordReader, count_records
from trainer.data.records.files import Stage
from trainer.data.sources import feature_spec, splits
from trainer.data.sources.source import need


def describe(config: DatasetConfig, stage: Stage) -> DatasetInfo:
    """See `source.Source`."""
    need("array_record", "array-record", config)
    features = feature_spec.read_spec(config.args)
    found = splits.find_files(config)
    shards = {split: count_records(files, stage) for split, files in found.items()}
    return splits.choose(config, config.name, features, shards)


def identify(shards: tuple[Shard, ...], stage: Stage, config: DatasetConfig) -> tuple[Shard, ...]:
    """Return shards, of which the number of records is known, with their size and checksum."""
    need("array_record", "array-record", config)
    counted = count_records(shards, stage)
    return tuple(
        dataclasses.replace(new, num_examples=known.num_examples)
        for new, known in zip(counted, shards, strict=True)
    )


open = ArrayRecordReader
