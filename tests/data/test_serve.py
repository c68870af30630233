import json
import os
import time

import numpy as np
import pytest
import tensorflow as tf

from common.cluster_description import Cluster
from common.exit_codes import ExitCode, RunError
from tests.data.shards import FEATURES, write_shards
from trainer.config import DatasetConfig
from trainer.data import sources
from trainer.data.records.files import Stage
from trainer.data.records.read_plan import ReadPlan
from trainer.data.records.reader import RecordReader
from trainer.data.serving import input_pipeline, reading
from trainer.data.serving.order import Batches, training_order
from trainer.data.serving.stream import StreamPipeline

SIZES = [7, 1, 12, 5]


@pytest.fixture
def pattern(tmp_path):
    return write_shards(tmp_path / "data", SIZES)


def config_of(pattern, **fields):
    return DatasetConfig(pattern, eval_split="", args={"features": FEATURES}, **fields)


def pipeline_of(config, *, batch_size=6, num_steps=40, seed=3, num_processes=1, **fields):
    info = sources.describe(config)
    return input_pipeline.make_pipeline(
        tf.distribute.get_strategy(),
        info,
        config,
        split=info.train,
        seed=seed,
        batch_size=batch_size,
        microbatch_size=2,
        num_steps=num_steps,
        stage=Stage(),
        compiled=False,
        num_processes=num_processes,
        **fields,
    )


def served(pipeline, calls, batch_size=6):
    """Return the pixel of every example that calls (first step, number of steps) serve."""
    out = []
    for first, count in calls:
        prepared = pipeline.prepare(first, count)
        for index in range(count):
            selected = pipeline.select(prepared, tf.constant(index))
            batch, weights = pipeline.batch(selected, tf.constant(0, tf.int64), batch_size // 2)
            assert batch["image"].shape == [batch_size // 2, 2, 4, 4, 1]
            assert (
                (batch["image"][..., 0, 0, 0] % 5 == tf.cast(batch["label"], tf.uint8))
                .numpy()
                .all()
            )
            keep = weights.numpy().reshape(-1) > 0
            out.append(batch["image"].numpy()[..., 0, 0, 0].reshape(-1)[keep])
    return np.concatenate(out)


@pytest.mark.parametrize("window", [0, 4, 9, 25])
def test_streamed_examples_are_the_resident_ones(pattern, window):
    calls = [(0, 5), (5, 3), (8, 9)]
    modes = ("resident", "stream")
    one, other = (
        served(pipeline_of(config_of(pattern, serve=mode, shuffle_window=window)), calls)
        for mode in modes
    )
    assert np.array_equal(one, other)
    assert sorted(other[:25]) == sorted(other[25:50]) == list(range(25))


@pytest.mark.parametrize("window", [0, 4])
def test_a_stream_resumes_at_any_step(pattern, window):
    config = config_of(pattern, serve="stream", shuffle_window=window)
    whole = served(pipeline_of(config), [(0, 30)])
    pipeline = pipeline_of(config)
    for step in (0, 29, 3, 4, 17):
        assert np.array_equal(served(pipeline, [(step, 1)]), whole[step * 6 : step * 6 + 6])


def test_a_worker_reads_its_own_microbatches_only(pattern, monkeypatch):
    config = config_of(pattern, serve="stream", shuffle_window=9)
    info = sources.describe(config)
    order = training_order(info.train, seed=3, window=9)
    whole = served(pipeline_of(config), [(0, 8)]).reshape(8, 6)
    read, real = [], RecordReader.read

    def counted(self, served):
        read.append(len(served.ids))
        return real(self, served)

    monkeypatch.setattr(RecordReader, "read", counted)
    for first in (0, 2, 4):
        plan = ReadPlan(info, info.train, info.features, order.reading_order(48), Stage())
        batches = Batches(order, 6, 2, range(first, first + 2))
        pipeline = StreamPipeline(reading.ExampleReader(plan), batches, 8)
        prepared = pipeline.prepare(0, 8)
        for step in range(8):
            selected = pipeline.select(prepared, tf.constant(step))
            batch, _ = pipeline.batch(selected, tf.constant(first // 2, tf.int64), 1)
            assert np.array_equal(batch["image"][0, :, 0, 0, 0], whole[step, first : first + 2])
    assert sum(read) == 8 * 6


@pytest.mark.parametrize("mode", ["resident", "stream"])
def test_evaluation_counts_every_example_once(pattern, mode):
    pipeline = pipeline_of(config_of(pattern, serve=mode), seed=None, num_steps=5)
    for _ in range(2):
        assert served(pipeline, [(0, 2), (2, 3)]).tolist() == list(range(25))


def test_shards_are_closed_behind_the_window(pattern, monkeypatch):
    config = config_of(pattern, serve="stream", shuffle_window=3)
    most, real = [], RecordReader.read

    def watched(self, served):
        records = real(self, served)
        most.append(len(self._open))
        return records

    monkeypatch.setattr(RecordReader, "read", watched)
    served(pipeline_of(config, batch_size=2), [(0, 40)], batch_size=2)
    assert max(most) <= 3


def test_arrays_stream_as_they_are_resident(tmp_path, monkeypatch):
    (tmp_path / "custom_data.py").write_text(
        "import numpy as np\n"
        "def build(n):\n"
        "    ids = np.arange(n)\n"
        "    images = np.broadcast_to(ids[:, None, None, None], (n, 4, 4, 1)).astype('uint8')\n"
        "    return {'train': {'image': images, 'label': ids % 5}}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    fields = {
        "name": "custom_data:build",
        "args": {"n": 25},
        "eval_split": "",
        "train_split": "train[2:]",
    }
    one, other = (
        served(pipeline_of(DatasetConfig(serve=mode, **fields)), [(0, 9)])
        for mode in ("resident", "stream")
    )
    assert np.array_equal(one, other)
    assert sorted(one[:23]) == list(range(2, 25))
    assert sources.describe(DatasetConfig(**fields)).features["label"].num_classes == 5


def test_example_log_names_step_microbatch_and_id(pattern, tmp_path, monkeypatch):
    log = tmp_path / "of" / "today" / "examples.tsv"
    real = os.write
    monkeypatch.setattr(os, "write", lambda file, data: real(file, data[:7]))  # a disk nearly full
    pipeline = pipeline_of(config_of(pattern, serve="stream"), log_examples=str(log))
    pixels = served(pipeline, [(4, 2)])
    rows = [tuple(map(int, line.split("\t"))) for line in log.read_text().splitlines()]
    assert [row[:2] for row in rows] == [(4 + i // 6, i % 6 // 2) for i in range(12)]
    assert [row[2] for row in rows] == pixels.tolist()


def test_the_compiled_loop_refuses_to_stream(pattern):
    config = config_of(pattern, serve="stream")
    info = sources.describe(config)
    with pytest.raises(RunError, match=r"xla_loop.*resident") as caught:
        input_pipeline.make_pipeline(
            tf.distribute.get_strategy(), info, config, split=info.train, seed=0, batch_size=6,
            microbatch_size=2, num_steps=4, stage=Stage(), compiled=True,
            num_processes=1,
        )  # fmt: skip
    assert caught.value.code is ExitCode.BAD_CONFIG


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_auto_streams_what_does_not_fit(pattern, monkeypatch, share):
    monkeypatch.setattr(input_pipeline.memory, "SHARE", share)
    pipeline = pipeline_of(config_of(pattern))
    assert isinstance(pipeline, StreamPipeline) == (share == 0)


@pytest.mark.parametrize(
    ("workers", "streams"),
    [((), False), (("a:1", "b:1"), False), (("a:1", "a:2"), True), (("[::1]:1", "[::1]:2"), True)],
)
def test_processes_of_one_host_share_its_memory(pattern, monkeypatch, workers, streams):
    config = config_of(pattern)
    free = 3 * sources.describe(config).num_bytes  # half of it, for one process and not for two
    monkeypatch.setattr(input_pipeline.memory, "_meminfo", lambda: free)
    pipeline = pipeline_of(config, num_processes=Cluster(workers).num_on_host)
    assert isinstance(pipeline, StreamPipeline) == streams


def test_variable_length_and_raw_features(tmp_path):
    from tests.data.shards import example, write_file

    rows = [[1], [1, 2, 3], [4, 5]]
    write_file(
        tmp_path / "train-0.tfrecord",
        [
            example(tokens=row, signal=np.asarray([i, 2.5], np.float32).tobytes())
            for i, row in enumerate(rows)
        ],
    )
    spec = {
        "tokens": {"shape": [4], "padded": True, "pad_value": -1},
        "signal": {"dtype": "float32", "shape": [2], "encoding": "raw"},
    }
    config = DatasetConfig(
        str(tmp_path / "{split}-*"),
        eval_split="",
        args=json.loads(json.dumps({"features": spec})),
    )
    info = sources.describe(config)
    arrays = reading.load(info, info.train, Stage())
    assert arrays["tokens"].tolist() == [[1, -1, -1, -1], [1, 2, 3, -1], [4, 5, -1, -1]]
    assert arrays["signal"].tolist() == [[0, 2.5], [1, 2.5], [2, 2.5]]


def test_steps_are_read_one_after_another(pattern, monkeypatch):
    busy, overlaps, real = [], [], RecordReader.read

    def slow(self, served):
        overlaps.extend(busy)
        busy.append(1)
        time.sleep(0.01)
        busy.pop()
        return real(self, served)

    monkeypatch.setattr(RecordReader, "read", slow)
    served(pipeline_of(config_of(pattern, serve="stream")), [(0, 30)])
    assert not overlaps


def test_waiting_for_records_is_measured(pattern, monkeypatch):
    real = RecordReader.read

    def slow(*args):
        time.sleep(0.05)
        return real(*args)

    monkeypatch.setattr(RecordReader, "read", slow)
    streamed, resident = (pipeline_of(config_of(pattern, serve=s)) for s in ("stream", "resident"))
    started = time.monotonic()
    served(streamed, [(0, 10)])
    assert 0 < streamed.waited() < time.monotonic() - started
    served(resident, [(0, 10)])
    assert resident.waited() == 0
