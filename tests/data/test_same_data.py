"""One digest for one config, wherever the examples come from and however they are served."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from tests.data.shards import FEATURES, write_shards
from tests.processes import ROOT, SHORT, summary, trainer
from tests.storage.emulator import running_emulator
from trainer import storage
from trainer.data.sources import tfds

STREAM = "--config.dataset.serve=stream"
WINDOW = "--config.dataset.shuffle_window=300"
DIGITS = pathlib.Path(tfds.EMBEDDED) / "digits" / "1.0.0"


def digest(workdir, *args, workers=1):
    return summary(workdir, *SHORT, *args, workers=workers)["state_digest"]


def waited_for_data(workdir):
    """Return the seconds that the goodput of a run books as waiting for data."""
    return json.loads((workdir / "summary.json").read_text())["goodput"]["seconds"]["data"]


def log_of(path):
    rows = [tuple(map(int, line.split("\t"))) for line in path.read_text().splitlines()]
    return sorted(rows)


def test_streamed_and_resident_digits_are_the_same(tmp_path):
    plain = digest(tmp_path / "resident")
    assert digest(tmp_path / "stream", STREAM, "--cpu_replicas=2") == plain
    assert waited_for_data(tmp_path / "resident") == 0
    assert waited_for_data(tmp_path / "stream") > 0
    windowed = digest(tmp_path / "window", WINDOW)
    assert windowed != plain
    assert digest(tmp_path / "stream_window", WINDOW, STREAM) == windowed


@pytest.mark.slow
@pytest.mark.parametrize("window", [(), (WINDOW,)])
def test_two_workers_stream_what_one_keeps(tmp_path, window):
    logs = [tmp_path / "one.tsv", tmp_path / "two.tsv"]
    one = digest(tmp_path / "one", *window, f"--log_examples={logs[0]}")
    two = digest(tmp_path / "two", *window, STREAM, f"--log_examples={logs[1]}", workers=2)
    assert two == one
    assert log_of(logs[0]) == log_of(logs[1])


@pytest.mark.slow
def test_two_epochs_are_the_same_with_two_workers_and_after_a_kill(tmp_path):
    args = [STREAM, WINDOW, "--config.epochs=2", "--config.checkpoint_every_steps=10"]
    args += ["--config.log_every_steps=5"]
    logs = {name: tmp_path / f"{name}.tsv" for name in ("whole", "workers", "killed")}
    expected, workers = (
        summary(tmp_path / name, *args, f"--log_examples={logs[name]}", workers=count)
        for name, count in (("whole", 1), ("workers", 2))
    )
    command = [f"--workdir={tmp_path / 'killed'}", *args, f"--log_examples={logs['killed']}"]
    process = subprocess.Popen([sys.executable, "-m", "trainer", *command], cwd=ROOT)
    while not list((tmp_path / "killed").glob("checkpoints/step_*")) and process.poll() is None:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    resumed = summary(tmp_path / "killed", *args, f"--log_examples={logs['killed']}")
    assert workers["state_digest"] == resumed["state_digest"] == expected["state_digest"]
    whole = log_of(logs["whole"])
    assert log_of(logs["workers"]) == whole
    assert sorted(set(log_of(logs["killed"]))) == whole
    ids = [int(line.split("\t")[2]) for line in logs["whole"].read_text().splitlines()]
    assert sorted(ids[:1501]) == sorted(ids[1501:3002]) == list(range(1501))


def test_a_bucket_gives_the_same_digest(tmp_path):
    with running_emulator("data") as emulator:
        for path in DIGITS.iterdir():
            storage.write_bytes(f"gs://data/tfds/digits/1.0.0/{path.name}", path.read_bytes())
        name = "--config.dataset.name=tfds:gs://data/tfds/digits"
        stage = [f"--stage_dir={tmp_path / 'stage'}", "--stage_bytes=2000000"]
        assert digest(tmp_path / "gs", name, *stage, STREAM) == digest(tmp_path / "local")
        downloads = [
            r for r in emulator.proxy.requests if "alt=media" in str(r) and "train" in str(r)
        ]
        assert len(downloads) == 1


def test_two_workers_stream_a_faulty_bucket_to_the_same_digest(tmp_path):
    faults = [503, "reset", "cut", 429]

    def plan(_, path):
        return faults.pop() if faults and "alt=media" in path else None

    log = tmp_path / "two.tsv"
    one = digest(tmp_path / "one", WINDOW, f"--log_examples={tmp_path / 'one.tsv'}")
    with running_emulator("data") as emulator:
        for path in DIGITS.iterdir():
            storage.write_bytes(f"gs://data/tfds/digits/1.0.0/{path.name}", path.read_bytes())
        args = ["--config.dataset.name=tfds:gs://data/tfds/digits", STREAM, WINDOW]
        args += [f"--stage_dir={tmp_path / 'stage'}", "--stage_bytes=4000000"]
        with emulator.proxy.faults(plan):
            two = digest(tmp_path / "two", *args, f"--log_examples={log}", workers=2)
    assert not faults
    assert two == one
    assert log_of(log) == log_of(tmp_path / "one.tsv")


def test_a_window_over_a_bucket_stays_under_the_budget(tmp_path):
    pattern = write_shards(tmp_path / "data", [40] * 12)
    files = sorted((tmp_path / "data").iterdir())
    size = max(path.stat().st_size for path in files)
    config = tmp_path / "tiny_shards.py"
    config.write_text(CONFIG.format(features=FEATURES))
    args = [f"--config={config}", "--config.dataset.shuffle_window=50"]
    local = summary(tmp_path / "local", *args, f"--config.dataset.name={pattern}")
    with running_emulator("shards"):
        for path in files:
            storage.write_bytes(f"gs://shards/{path.name}", path.read_bytes())
        args += ["--config.dataset.name=gs://shards/{split}-*.tfrecord", STREAM]
        # Two readers share the budget; a window touches at most three of the twelve shards, and
        # eight fit: all twelve are read.
        args += [f"--stage_dir={tmp_path / 'stage'}", f"--stage_bytes={2 * 4 * size}"]
        remote = summary(tmp_path / "remote", *args)
    assert sum(path.stat().st_size for path in files) > 8 * size
    assert remote["state_digest"] == local["state_digest"]
    staged = [path for path in (tmp_path / "stage").iterdir() if path.is_file()]
    assert sum(path.stat().st_size for path in staged) <= 8 * size


def test_a_bad_record_ends_the_run_with_65(tmp_path):
    pattern = write_shards(tmp_path / "data", [40] * 3)
    path = tmp_path / "data" / "train-1.tfrecord"
    data = bytearray(path.read_bytes())
    data[200] ^= 1
    path.write_bytes(data)
    config = tmp_path / "tiny_shards.py"
    config.write_text(CONFIG.format(features=FEATURES))
    args = [
        f"--config={config}",
        f"--config.dataset.name={pattern}",
        f"--workdir={tmp_path / 'run'}",
    ]
    ended = trainer(*args, STREAM)
    assert ended.code == 65
    assert f"{path}: record" in ended.last_line
    ended = trainer(
        *args, STREAM, "--config.dataset.skip_bad_records=true", "--workdir", str(tmp_path / "skip")
    )
    assert ended.code == 0, ended.stderr
    assert f"skipped: {path}: byte" in ended.stderr


CONFIG = """
from trainer.config import DatasetConfig, PartConfig, TrainConfig

def get_config():
    return TrainConfig(
        train_steps=30, global_batch_size=16, virtual_replicas=2, log_every_steps=10,
        model=PartConfig("mlp"),
        dataset=DatasetConfig("unset", eval_split="", args={{"features": {features}}}),
    )
"""
