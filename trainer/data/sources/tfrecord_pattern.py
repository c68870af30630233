"""TFRecord files by pattern, with a feature spec in `config.dataset.args`.

name = "gs://bucket/{split}-*.tfrecord"; for the spec see `feature_spec`.
"""

from trainer.config import DatasetConfig
from trainer.data.info import DatasetInfo
from trainer.data.records.files import Stage
from trainer.data.records.indexes import count_records
from trainer.data.records.reader import RecordReader
from trainer.data.sources import feature_spec, splits


def describe(config: DatasetConfig, stage: Stage) -> DatasetInfo:
    """See `source.Source`. Without `{split}` in the pattern all is `train`."""
    features = feature_spec.read_spec(config.args)
    shards, skipped = splits.Shards(), list[str]()
    for name, files in splits.find_files(config).items():
        shards[name], damaged = count_records(files, stage, skip_bad=config.skip_bad_records)
        skipped += damaged
    return splits.choose(config, config.name, features, shards, skipped=skipped)


open = RecordReader
