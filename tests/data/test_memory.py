import contextlib
import subprocess
import sys
import time

import pytest

from tests.data.shards import example, write_file
from tests.processes import ROOT
from tests.storage.emulator import running_emulator
from trainer import storage

STREAM = """
import pathlib, resource, sys
import tensorflow as tf
from trainer.config import DatasetConfig
from trainer.data import feeds, sources
from trainer.data.files import Stage
pattern, folder = sys.argv[1:3]
limit_mib, num_steps, stage_bytes = map(int, sys.argv[3:])
stage = Stage(folder, stage_bytes)
spec = {"image": {"dtype": "uint8", "shape": [1 << 20], "encoding": "raw"}}
config = DatasetConfig(pattern, eval_split="", serve="stream", shuffle_window=40,
                       args={"features": spec})
info = sources.describe(config, stage)
feed = feeds.make_feed(tf.distribute.get_strategy(), info, config, split=info.train, seed=0,
                       batch_size=4, lane_size=4, num_steps=num_steps, stage=stage,
                       compiled=False, num_processes=1)
for step in range(num_steps):
    next(feed.prepare(step, 1))
    if step == 20:
        early = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        pages = int(pathlib.Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + (limit_mib << 20)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - early) // 1024)
"""


def write_data(folder, num_shards):
    """Write 50 MiB a shard; returns the MiB that a tenth of all is."""
    for shard in range(num_shards):
        records = [example(image=bytes([i]) * (1 << 20)) for i in range(50)]
        write_file(folder / f"train-{shard}.tfrecord", records)
    return num_shards * 50 // 10


def stream(pattern, stage, *numbers):
    command = [sys.executable, "-c", STREAM, pattern, str(stage), *map(str, numbers)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True)


def check_grown(process, limit_mib):
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert int(out) < limit_mib


@pytest.mark.parametrize(
    ("num_shards", "num_steps"), [(6, 100), pytest.param(8, 600, marks=pytest.mark.slow)]
)
def test_a_dataset_of_ten_times_the_memory_streams_with_flat_memory(
    tmp_path, num_shards, num_steps
):
    limit_mib = write_data(tmp_path, num_shards)
    pattern = str(tmp_path / "{split}-*.tfrecord")
    check_grown(stream(pattern, tmp_path / "stage", limit_mib, num_steps, 0), limit_mib)


@pytest.mark.slow
def test_a_bucket_of_ten_times_the_memory_streams_under_the_budget_of_the_disk(tmp_path):
    limit_mib = write_data(tmp_path, 8)
    paths = sorted(tmp_path.glob("*.tfrecord"))
    budget = 4 * paths[0].stat().st_size
    stage, most = tmp_path / "stage", 0
    with running_emulator("large"):
        for path in paths:
            storage.upload(path, f"gs://large/{path.name}")
        process = stream("gs://large/{split}-*.tfrecord", stage, limit_mib, 300, budget)
        while process.poll() is None:
            most = max(most, staged_bytes(stage))
            time.sleep(0.01)
        check_grown(process, limit_mib)
    assert budget // 2 < most <= budget


def staged_bytes(stage):
    total = 0
    for path in stage.glob("*.tfrecord*"):
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size
    return total
