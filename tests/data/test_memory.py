import subprocess
import sys

import pytest

from tests.data.shards import example, write_file
from tests.processes import ROOT

STREAM = """
import pathlib, resource, sys
import tensorflow as tf
from trainer.config import DatasetConfig
from trainer.data import feeds, sources
from trainer.data.files import Stage
pattern, stage, limit_mib, num_steps = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
spec = {"image": {"dtype": "uint8", "shape": [1 << 20], "encoding": "raw"}}
config = DatasetConfig(pattern, eval_split="", serve="stream", shuffle_window=40,
                       args={"features": spec})
info = sources.describe(config)
feed = feeds.make_feed(tf.distribute.get_strategy(), info, config, split=info.train, seed=0,
                       batch_size=4, lane_size=4, num_steps=num_steps, stage=Stage(stage),
                       compiled=False)
for step in range(num_steps):
    next(feed.prepare(step, 1))
    if step == 20:
        early = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        pages = int(pathlib.Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + (limit_mib << 20)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - early) // 1024)
"""


@pytest.mark.parametrize(
    ("num_shards", "num_steps"), [(6, 100), pytest.param(8, 600, marks=pytest.mark.slow)]
)
def test_a_dataset_of_ten_times_the_memory_streams_with_flat_memory(
    tmp_path, num_shards, num_steps
):
    for shard in range(num_shards):
        records = [example(image=bytes([i]) * (1 << 20)) for i in range(50)]
        write_file(tmp_path / f"train-{shard}.tfrecord", records)
    limit_mib = num_shards * 50 // 10  # of memory more than what the process begins with
    pattern, stage = str(tmp_path / "{split}-*"), str(tmp_path / "stage")
    command = [sys.executable, "-c", STREAM, pattern, stage, str(limit_mib), str(num_steps)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < limit_mib
