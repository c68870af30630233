"""Datasets whose files are copied once as columns: what the copies tell."""

from trainer.config import DatasetConfig
from trainer.data.info import DatasetInfo, Shard
from trainer.data.records import columns, copies
from trainer.data.records.files import Stage
from trainer.data.sources import facts, splits


def describe(config: DatasetConfig, stage: Stage, asked: str, make: copies.Make) -> DatasetInfo:
    """Return what the copies of all files tell, and make those that are not there.

    Args:
        config: which data.
        stage: where copies are kept.
        asked: what decides the content of a copy, beside its file.
        make: a copy.
    """
    shards, noted = splits.Shards(), {}
    for split, found in splits.find_files(config).items():
        counted = []
        for shard, folder in copies.make_copies(found, asked, stage, make):
            told = columns.read_facts(folder)
            noted[shard.url] = told
            counted.append(Shard(shard.url, told["rows"], shard.num_bytes, shard.crc32c))
        shards[split] = tuple(counted)
    return splits.choose(config, config.name, facts.features_of(noted, config), shards)
