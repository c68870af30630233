"""ArrayRecord files of `tf.train.Example`s by pattern, with a feature spec as for TFRecords."""

from trainer.config import DatasetConfig
from trainer.data.info import DatasetInfo
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


open = ArrayRecordReader
