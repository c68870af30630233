import contextlib
import subprocess
import sys
import time
import tracemalloc

import numpy as np
import pytest

from tests.data.shards import example, write_file
from tests.processes import ROOT
from tests.storage.emulator import running_emulator
from trainer import storage
from trainer.config import DatasetConfig
from trainer.data import info
from trainer.data.info import Shard, Split

STREAM = """
import os, pathlib, resource, sys, threading
# Blocks are decoded on all cores at a time, and a thread reserves 8 MiB for its stack: neither may
# decide whether the limit below is met.
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
threading.stack_size(256 << 10)
import tensorflow as tf
from trainer.config import DatasetConfig
from trainer.data import sources
from trainer.data.records.files import Stage
from trainer.data.serving import input_pipeline
pattern, folder = sys.argv[1:3]
limit_mib, num_steps, stage_bytes = map(int, sys.argv[3:])
stage = Stage(folder, stage_bytes)
spec = {"image": {"dtype": "uint8", "shape": [1 << 20], "encoding": "raw"}}
config = DatasetConfig(pattern, eval_split="", serve="stream", shuffle_window=40,
                       args={"features": spec})
info = sources.describe(config, stage)
pipeline = input_pipeline.make_pipeline(
    tf.distribute.get_strategy(), info, config, split=info.train, seed=0,
    batch_size=4, microbatch_size=4, num_steps=num_steps, stage=stage,
    compiled=False, num_processes=1)
for step in range(num_steps):
    next(pipeline.prepare(step, 1))
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


def info_of(array):
    split = Split("train", (Shard("memory", len(array)),), 0, len(array), {"x": array})
    return info.DatasetInfo(DatasetConfig(), "", {}, split, None)


def test_memory_mapped_arrays_are_not_read_into_memory_for_the_fingerprint(tmp_path):
    path = tmp_path / "x.npy"
    np.lib.format.open_memmap(path, "w+", np.uint8, (1 << 16, 1 << 10))[-1] = 7
    mapped = np.load(path, mmap_mode="r")
    tracemalloc.start()
    info_of(mapped).fingerprint()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < mapped.nbytes // 2


@pytest.mark.parametrize("part_bytes", [1, 100, 1000])
def test_the_fingerprint_of_arrays_is_of_all_their_bytes(monkeypatch, part_bytes):
    values = np.arange(120).reshape(20, 3, 2)
    whole = info_of(values).fingerprint()
    monkeypatch.setattr(info, "_HASHED_BYTES", part_bytes)
    assert info_of(values).fingerprint() == whole
    assert info_of(values.T.copy().T).fingerprint() == whole
    values[19, 2, 1] += 1
    assert info_of(values).fingerprint() != whole
