"""`trainer.data verify`: every bad record is named, and left out where its list is given."""

import json
import re
import struct

import google_crc32c
import numpy as np
import pytest
import tensorflow as tf

from common.exit_codes import ExitCode, RunError
from tests.data.shards import example, write_file
from tests.data.test_serve import pipeline_of
from tests.processes import summary, trainer
from trainer.config import DatasetConfig, TrainConfig
from trainer.data import sources, verify
from trainer.data.records import tfrecord
from trainer.data.records.files import Stage
from trainer.data.serving import reading

FEATURES = {
    "image": {"dtype": "uint8", "shape": [4, 4, 3], "encoding": "image"},
    "label": {"num_classes": 5},
    "signal": {"dtype": "float32", "shape": [3], "encoding": "raw"},
    "count": {"dtype": "int32"},
}
PER_SHARD = 500
ROLES = {"label": "label"}


def jpeg(value):
    return tf.io.encode_jpeg(np.full([4, 4, 3], value % 256, np.uint8)).numpy()


IMAGES = [jpeg(i) for i in range(256)]
LARGE = tf.io.encode_jpeg(np.zeros([5, 4, 3], np.uint8)).numpy()


def fields(i):
    signal = np.array([i, 1, 2], "<f4").tobytes()
    return {"image": IMAGES[i % 256], "label": i % 5, "signal": signal, "count": i}


# What is written in place of a good record, and what is said of it.
FAULTS = {
    "a missing key": (lambda f: {n: v for n, v in f.items() if n != "label"}, "'label'"),
    "another type": (lambda f: f | {"count": 1.5}, "'count'"),
    "another length": (lambda f: f | {"count": [1, 2]}, "'count'"),
    "raw bytes of another size": (lambda f: f | {"signal": b"12345678"}, "it holds 8 bytes"),
    "a label out of range": (lambda f: f | {"label": 5}, "'label'"),
    "no image": (lambda f: f | {"image": b"nothing"}, "'image'"),
    "a cut image": (lambda f: f | {"image": f["image"][: len(f["image"]) // 2]}, "'image'"),
    "an image of another size": (lambda f: f | {"image": LARGE}, "'image'"),
    "a number that does not fit": (lambda f: f | {"count": 2**40}, "is none of int32"),
    "a flipped bit": (None, "does not match its checksum"),
}


def plant(folder, num_records, num_faults):
    """Write records with faults of every kind; returns the config, and file, byte -> its text."""
    folder.mkdir()
    random = np.random.default_rng(0)
    places = random.choice(num_records, num_faults, replace=False)
    kinds = {int(place): list(FAULTS)[i % len(FAULTS)] for i, place in enumerate(places)}
    planted = {}
    for start in range(0, num_records, PER_SHARD):
        path = folder / f"train-{start // PER_SHARD:03d}.tfrecord"
        mine = range(start, min(start + PER_SHARD, num_records))
        changes = {i: FAULTS[kinds[i]][0] for i in mine if i in kinds}
        write_file(path, [example(**(changes.get(i) or dict)(fields(i))) for i in mine])
        data, offsets = bytearray(path.read_bytes()), tfrecord.scan(path, path.name).offsets
        for i in set(mine) & set(kinds):
            if kinds[i] == "a flipped bit":
                data[offsets[i - start] + 9] ^= 4
            planted[path.name, offsets[i - start] - 12] = FAULTS[kinds[i]][1]
        path.write_bytes(data)
    dataset = DatasetConfig(
        str(folder / "*.tfrecord"), eval_split="", args={"features": FEATURES}, roles=ROLES
    )
    return dataset, planted


def verified(dataset, tmp_path):
    """Return what `verify` prints, its refusal, and the list that it writes."""
    path = tmp_path / "skip.json"
    with pytest.raises(RunError) as caught:
        verify.verify(TrainConfig(epochs=1, dataset=dataset), Stage(str(tmp_path / "stage")), path)
    assert caught.value.code is ExitCode.BAD_DATA
    return caught.value.reason, path


def check_all_are_named(tmp_path, capsys, num_records, num_faults):
    dataset, planted = plant(tmp_path / "data", num_records, num_faults)
    reason, path = verified(dataset, tmp_path)
    assert f"{num_faults} bad records, and {num_records - num_faults:,} good ones" in reason
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == num_faults
    for (name, byte), said in planted.items():
        (line,) = [line for line in lines if re.search(rf"{name}: .*byte {byte}[: ]", line)]
        assert said in line
    config = DatasetConfig(**{**vars(dataset), "skip_list": str(path)})
    info = sources.describe(config)
    assert info.train.num_examples == num_records - num_faults
    return info, config


def test_all_faults_are_named_and_left_out(tmp_path, capsys):
    info, config = check_all_are_named(tmp_path, capsys, 2000, 50)
    counts = reading.load(info, info.train, Stage())["count"]
    assert len(set(counts.tolist())) == 1950
    assert counts.tolist() == sorted(counts.tolist())
    for window in (0, 100):
        pipeline = pipeline_of(
            DatasetConfig(**{**vars(config), "serve": "stream", "shuffle_window": window}),
            batch_size=50,
            num_steps=39,
        )
        prepared = pipeline.prepare(0, 39)
        steps = [pipeline.select(prepared, tf.constant(i))[0]["count"].numpy() for i in range(39)]
        assert sorted(np.concatenate(steps).tolist()) == counts.tolist()


@pytest.mark.slow
def test_all_faults_of_many_records_are_named_and_a_run_without_them_reproduces(tmp_path, capsys):
    _, config = check_all_are_named(tmp_path, capsys, 100_000, 50)
    experiment = tmp_path / "experiment.py"
    experiment.write_text(CONFIG.format(name=config.name, features=FEATURES))
    args = [f"--config={experiment}", f"--config.dataset.skip_list={config.skip_list}"]
    one, two = (summary(tmp_path / run, *args)["state_digest"] for run in ("one", "two"))
    stream = summary(
        tmp_path / "stream", *args, "--config.dataset.serve=stream", "--cpu_replicas=2"
    )
    assert one == two == stream["state_digest"]


CONFIG = """
from trainer.config import DatasetConfig, PartConfig, TrainConfig

def get_config():
    return TrainConfig(
        train_steps=20, global_batch_size=32, virtual_replicas=2, model=PartConfig("mlp"),
        dataset=DatasetConfig({name!r}, eval_split="", args={{"features": {features}}}))
"""


def test_the_command_names_what_is_bad_and_a_run_leaves_out_no_more(tmp_path):
    dataset, _ = plant(tmp_path / "data", 60, 10)
    experiment = tmp_path / "experiment.py"
    experiment.write_text(CONFIG.format(name=dataset.name, features=FEATURES))
    path = tmp_path / "bad.json"
    command = [f"--config={experiment}", f"--skip_list={path}"]
    ended = trainer("verify", *command, module=["trainer.data"])
    assert ended.code == 65, ended.stderr
    assert "10 bad records, and 50 good ones" in ended.last_line
    assert f"--config.dataset.skip_list={path}" in ended.last_line
    listed = f"--config.dataset.skip_list={path}"
    ended = trainer("verify", *command, listed, module=["trainer.data"])
    assert ended.code == 65  # the list of the config is not looked at
    run = [f"--config={experiment}", f"--workdir={tmp_path / 'run'}"]
    assert trainer(*run, f"--workdir={tmp_path / 'all'}").code == 65
    assert trainer(*run, listed).code == 0
    fewer = json.loads(path.read_text())
    fewer["records"].pop()
    path.write_text(json.dumps(fewer))
    ended = trainer(*run, listed)
    assert ended.code != 0
    assert "other data" in ended.last_line or "key" in ended.last_line


def digits(**fields):
    return TrainConfig(epochs=1, dataset=DatasetConfig(**fields))


def test_good_data_end_well(tmp_path, capsys):
    verify.verify(digits(), Stage(str(tmp_path)), tmp_path / "skip.json")
    assert "verified 1,797 records: all are good" in capsys.readouterr().out
    assert not (tmp_path / "skip.json").exists()


def test_a_list_of_other_files_is_refused_and_so_is_unlisted_damage(tmp_path):
    dataset, _ = plant(tmp_path / "data", 60, 9)
    _, path = verified(dataset, tmp_path)
    config = DatasetConfig(**{**vars(dataset), "skip_list": str(path)})
    before = sources.describe(config).fingerprint()
    assert before != sources.describe(dataset).fingerprint()
    (moved := tmp_path / "moved").mkdir()
    for file in (tmp_path / "data").iterdir():
        file.rename(moved / file.name)
    config = DatasetConfig(**{**vars(config), "name": str(moved / "*.tfrecord")})
    assert sources.describe(config).fingerprint() == before
    file = moved / "train-000.tfrecord"
    data = file.read_bytes()
    write_file(file, [example(**fields(i)) for i in range(60)])
    with pytest.raises(RunError, match=r"other data: train-000.*verify") as caught:
        sources.describe(config)
    assert caught.value.code is ExitCode.BAD_CONFIG
    file.write_bytes(data[:-3])
    with pytest.raises(RunError, match="is cut off"):
        sources.describe(config)
    path.write_text("{}")
    with pytest.raises(RunError, match="no skip list"):
        sources.describe(config)


def test_damage_between_records_is_listed_too(tmp_path):
    dataset, _ = plant(tmp_path / "data", 60, 9)
    file = tmp_path / "data" / "train-000.tfrecord"
    data = bytearray(file.read_bytes())
    data[0:8] = struct.pack("<Q", 3)
    file.write_bytes(data)
    assert google_crc32c.value(bytes(data[0:8])) != struct.unpack("<I", data[8:12])[0]
    reason, path = verified(dataset, tmp_path)
    config = DatasetConfig(**{**vars(dataset), "skip_list": str(path)})
    left = sources.describe(config).train.num_examples
    assert 48 < left < 52
    assert f"and {left} good ones" in reason
    file.write_bytes(bytes(data) + b"more")
    with pytest.raises(RunError, match=r"is cut off; not in config\.dataset\.skip_list"):
        sources.describe(config)


def test_rows_of_any_source_can_be_left_out(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "bad_batches.py").write_text(
        "import keras\nimport numpy as np\n"
        "class Data(keras.utils.PyDataset):\n"
        "  def __len__(self): return 50\n"
        "  def __getitem__(self, i):\n"
        "    if i == 31: raise ValueError('a bad photo')\n"
        "    return {'x': np.arange(4 * i, 4 * i + 4)}\n"
        "def data(): return Data()\n"
    )
    dataset = DatasetConfig("bad_batches:data", eval_split="")
    reason, path = verified(dataset, tmp_path)
    assert "4 bad records, and 196 good ones" in reason
    assert "a bad photo" in path.read_text()
    config = DatasetConfig(**{**vars(dataset), "skip_list": str(path)})
    info = sources.describe(config)
    assert sorted(set(range(200)) - {124, 125, 126, 127}) == sorted(
        reading.load(info, info.train, Stage())["x"].tolist()
    )
