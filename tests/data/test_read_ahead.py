"""What the reader meets ahead of the steps ends the run as itself, whoever calls the reader."""

import errno
import os
import re

import numpy as np
import pytest
import tensorflow as tf

from common.exit_codes import ExitCode, RunError
from tests.data.shards import FEATURES, example, png, record_offset, write_file, write_shards
from tests.processes import cluster, trainer
from tests.storage.emulator import running_emulator
from trainer import storage
from trainer.config import DatasetConfig
from trainer.data import sources
from trainer.data.info import DatasetInfo, Feature, Shard, Split
from trainer.data.records import reader
from trainer.data.records.files import Stage
from trainer.data.records.read_plan import ReadPlan
from trainer.data.serving import input_pipeline
from trainer.data.serving.order import SequentialOrder
from trainer.data.serving.reading import ExampleReader
from trainer.engine.inner_loop import InnerLoop
from trainer.storage import stage_dir

SIZES, BAD = [100, 100, 100, 100], 90
BATCH, MICROBATCHES = 4, 2
STEPS = sum(SIZES) // BATCH
"""Of an epoch. A call makes 2 of them; the reader takes all of them at once."""
TRAINING, EVALUATION = 3, None


@pytest.fixture
def folder(tmp_path):
    write_shards(tmp_path / "data", SIZES)
    return tmp_path / "data"


def flip(path, record=BAD):
    """Damage one byte of a record; return what the error says of the place."""
    offset = record_offset(path, record)
    data = bytearray(path.read_bytes())
    data[offset + 30] ^= 1
    path.write_bytes(data)
    return f"{re.escape(str(path))}: record {record} at byte {offset} "


def describe(name, **fields):
    config = DatasetConfig(
        name, eval_split="", serve="stream", shuffle_window=50,
        args={"features": FEATURES}, **fields,
    )  # fmt: skip
    return config, sources.describe(config)


def loop_of(config, info, seed=TRAINING, stage=None):
    """Return the inner loop over a split, with a step that only counts."""
    pipeline = input_pipeline.make_pipeline(
        tf.distribute.get_strategy(), info, config, split=info.train, seed=seed,
        batch_size=BATCH, microbatch_size=BATCH // MICROBATCHES, num_steps=STEPS,
        stage=stage or Stage(), compiled=False, num_processes=1,
    )  # fmt: skip
    return InnerLoop(
        tf.distribute.get_strategy(),
        lambda microbatches: {"count": tf.reduce_sum(microbatches.weights)},
        pipeline,
        lambda batch, _: batch,
        microbatches_per_replica=MICROBATCHES,
        zero={"count": tf.constant(0.0)},
        compiled=False,
    )


def make_steps(loop):
    """Make all steps of an epoch, a few at a call, as a run does; return how many were made."""
    for first in range(0, STEPS, 2):
        loop(first, 2)


@pytest.mark.parametrize("seed", [TRAINING, EVALUATION])
def test_damage_ahead_of_the_steps_names_file_record_and_byte(folder, seed):
    config, info = describe(str(folder / "{split}-*"))
    where = flip(folder / "train-3.tfrecord")
    with pytest.raises(RunError, match=where) as caught:
        make_steps(loop_of(config, info, seed))
    assert caught.value.code is ExitCode.BAD_DATA


@pytest.mark.parametrize("seed", [TRAINING, EVALUATION])
@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (errno.EIO, ExitCode.TRANSIENT),
        (errno.ESTALE, ExitCode.TRANSIENT),
        (errno.EACCES, ExitCode.BAD_DATA),
        (errno.ENOENT, ExitCode.BAD_DATA),
    ],
    ids=errno.errorcode.get,
)
def test_a_disk_that_fails_ahead_is_told_by_what_it_said(folder, monkeypatch, seed, fault, code):
    config, info = describe(str(folder / "{split}-*"))
    real, calls = os.pread, []

    def pread(file, *where):
        calls.append(file)
        if len(calls) > 3:
            raise OSError(fault, os.strerror(fault))
        return real(file, *where)

    loop = loop_of(config, info, seed)
    monkeypatch.setattr(reader.os, "pread", pread)
    with pytest.raises(RunError, match=rf"train-\d.tfrecord: {os.strerror(fault)}") as caught:
        make_steps(loop)
    assert caught.value.code is code


def test_a_file_that_went_away_is_named(folder):
    config, info = describe(str(folder / "{split}-*"))
    (folder / "train-2.tfrecord").unlink()
    with pytest.raises(RunError, match=r"train-2.tfrecord: No such file") as caught:
        make_steps(loop_of(config, info))
    assert caught.value.code is ExitCode.BAD_DATA


def test_an_error_that_nobody_foresaw_comes_with_its_own_stack(folder, monkeypatch):
    config, info = describe(str(folder / "{split}-*"))
    found = KeyError("of ours")

    def read(*_):
        raise found

    monkeypatch.setattr(reader.RecordReader, "read", read)
    with pytest.raises(KeyError) as caught:
        make_steps(loop_of(config, info))
    assert caught.value is found


def test_arrays_that_cannot_be_read_say_why():
    class Broken(np.ndarray):
        def __getitem__(self, index):
            if isinstance(index, slice):  # a view: nothing is read
                return super().__getitem__(index)
            raise OSError(errno.EIO, "of a mapped file")

    arrays = {"x": np.zeros([4, 2]).view(Broken)}
    split = Split("train", (Shard("memory", 4),), 0, 4, arrays)
    features = {"x": Feature((2,), "float64")}
    info = DatasetInfo(DatasetConfig("custom:build"), "", features, split, None)
    reader = ExampleReader(ReadPlan(info, split, features, [0], Stage()))
    first = SequentialOrder(split).serve(tf.range(2, dtype=tf.int64))
    served = tf.data.Dataset.from_tensors(tuple(first))
    with pytest.raises(tf.errors.OpError) as caught:
        next(iter(reader.batches(served, 2)))
    assert reader.cause(caught.value, []).strerror == "of a mapped file"


def test_a_record_that_cannot_be_decoded_is_found_behind_a_stage_without_room_for_two(tmp_path):
    """Decoding fails in its own step; its records are looked for when the reader is closed."""
    records = [example(image=png(i), label=i % 5) for i in range(40)]
    wrong = [*records[:30], example(image=png(1), label=9), *records[31:]]
    for number, content in enumerate([records, records, wrong, records]):
        write_file(tmp_path / f"train-{number}.tfrecord", content)
        storage.upload(
            tmp_path / f"train-{number}.tfrecord", f"memory://decoded/train-{number}.tfrecord"
        )
    largest = max(path.stat().st_size for path in tmp_path.iterdir())
    config, info = describe("memory://decoded/{split}-*")
    loop = loop_of(config, info, EVALUATION, Stage(str(tmp_path / "stage"), 2 * largest))
    with pytest.raises(RunError, match=r"train-2.tfrecord: record 30 .*key 'label'") as caught:
        make_steps(loop)
    assert caught.value.code is ExitCode.BAD_DATA


@pytest.mark.parametrize("seed", [TRAINING, EVALUATION])
def test_a_store_that_stays_busy_is_a_transient_fault(tmp_path, monkeypatch, seed):
    """As are all eight shards here: counted at an earlier start, and staged ahead in this one."""
    write_shards(tmp_path / "data", [STEPS // 2] * 8)
    monkeypatch.setattr(
        stage_dir, "Retry", lambda: storage.Retry(num_attempts=3, sleep=lambda _: None)
    )
    with running_emulator("data") as emulator:
        for path in (tmp_path / "data").iterdir():
            storage.upload(path, f"gs://data/{path.name}")
        config, info = describe("gs://data/{split}-*")
        busy = lambda _, path: 503 if "train-6" in path and "media" in path else None  # noqa: E731
        stage = Stage(str(tmp_path / "stage"))
        loop = loop_of(config, info, seed, stage)
        with emulator.proxy.faults(busy), pytest.raises(RunError, match="503") as caught:
            make_steps(loop)
    assert caught.value.code is ExitCode.TRANSIENT
    assert "train-6" in caught.value.reason


def run_on(folder, train, evaluation=()):
    """Write shards and the experiment of a run that streams them; return the flags of the run."""
    for split, sizes in (("train", train), ("test", evaluation)):
        write_shards(folder / "data", sizes, split)
    experiment = folder / "experiment.py"
    experiment.write_text(
        "from trainer import DatasetConfig, PartConfig, TrainConfig\n"
        "def get_config():\n"
        f"    dataset = DatasetConfig({str(folder / 'data' / '{split}-*')!r},\n"
        f"        eval_split={'test' if evaluation else ''!r}, serve='stream',\n"
        f"        shuffle_window=50, args={{'features': {FEATURES}}})\n"
        f"    return TrainConfig(epochs=1, global_batch_size={BATCH}, virtual_replicas=2,\n"
        "                       dataset=dataset, model=PartConfig('mlp'))\n"
    )
    return [f"--config={experiment}", f"--workdir={folder / 'run'}"]


def test_the_run_ends_with_this_one_line(tmp_path):
    flags = run_on(tmp_path, [600])
    where = flip(tmp_path / "data" / "train-0.tfrecord", 590)
    ended = trainer(*flags, "--cpu_replicas=2")
    assert ended.code == ExitCode.BAD_DATA, ended.stderr
    (line,) = ended.stderr.splitlines()
    assert re.match(rf"bad_data \(65\): {where}", line)


@pytest.mark.slow
def test_an_evaluation_ends_with_this_one_line(tmp_path):
    flags = run_on(tmp_path, [40], [600])
    where = flip(tmp_path / "data" / "test-0.tfrecord", 590)
    ended = trainer(*flags)
    assert ended.code == ExitCode.BAD_DATA, ended.stderr
    assert re.match(rf"bad_data \(65\): {where}", ended.last_line)
    assert "Traceback" not in ended.stderr


@pytest.mark.slow
@pytest.mark.parametrize("split", ["train", "test"])
def test_the_worker_that_meets_it_says_so_and_the_other_one_names_that_worker(tmp_path, split):
    flags = run_on(tmp_path, [600], [600])
    where = flip(tmp_path / "data" / f"{split}-0.tfrecord", 590)
    ends = cluster(2, flags)
    codes = [ended.code for ended in ends]
    assert sorted(codes) == [ExitCode.BAD_DATA, ExitCode.PEER_LOST], [e.stderr for e in ends]
    reader_of_it = codes.index(ExitCode.BAD_DATA)
    assert re.match(rf"bad_data \(65\): {where}", ends[reader_of_it].last_line)
    assert f"worker {reader_of_it} of 2" in ends[1 - reader_of_it].last_line
    assert not any("Traceback" in ended.stderr for ended in ends)
