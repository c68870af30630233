"""What streaming reads from disk: a worker reads its own microbatches only; headers cost little."""

import contextlib
import os
import pathlib

import pytest

from tests.data.shards import example, write_file
from trainer.config import DatasetConfig
from trainer.data import sources
from trainer.data.records.files import Stage
from trainer.data.records.read_plan import ReadPlan
from trainer.data.serving.order import Batches, training_order
from trainer.data.serving.reading import ExampleReader
from trainer.data.serving.stream import StreamPipeline

BATCH, RECORDS, RECORD_BYTES = 16, 480, 4096
SPEC = {"image": {"dtype": "uint8", "shape": [RECORD_BYTES], "encoding": "raw"}}


@pytest.fixture
def info(tmp_path):
    for shard in range(4):
        records = [example(image=os.urandom(RECORD_BYTES)) for _ in range(RECORDS // 4)]
        write_file(tmp_path / f"train-{shard}.tfrecord", records)
    return sources.describe(
        DatasetConfig(str(tmp_path / "{split}-*"), eval_split="", args={"features": SPEC})
    )


def read_epoch(info, stage, places, window):
    steps = RECORDS // BATCH
    order = training_order(info.train, seed=0, window=window)
    plan = ReadPlan(info, info.train, info.features, order.reading_order(RECORDS), stage)
    batches = Batches(order, BATCH, len(places), places)
    pipeline = StreamPipeline(ExampleReader(plan), batches, steps)
    with contextlib.closing(pipeline):
        assert len(list(pipeline.prepare(0, steps))) == steps


def bytes_read():
    """Return the bytes that this process has asked the system for."""
    fields = pathlib.Path("/proc/self/io").read_text().split()
    return int(fields[fields.index("rchar:") + 1])


@pytest.mark.parametrize("window", [0, 100])
@pytest.mark.parametrize("num_workers", [1, 2, 4])
def test_workers_together_read_the_data_once(info, tmp_path, num_workers, window):
    size, before = BATCH // num_workers, bytes_read()
    for worker in range(num_workers):
        stage = Stage(str(tmp_path / f"host-{worker}"))  # nothing is shared, as on as many hosts
        read_epoch(info, stage, range(worker * size, worker * size + size), window)
    data = sum(shard.num_bytes for shard in info.train.shards)
    assert 0.95 * data < bytes_read() - before <= 1.1 * data
