"""What can only be read from first to last, kept as records: exact, whole, and never stale."""

import importlib
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from common.exit_codes import ExitCode, RunError
from tests.processes import ROOT
from trainer.config import DatasetConfig
from trainer.data import sources
from trainer.data.records import kept
from trainer.data.records.files import Stage
from trainer.data.serving import reading

HEAD = """
import itertools
import pathlib
import random
import keras
import numpy as np
import tensorflow as tf

X = np.arange(40 * 48, dtype=np.uint8).reshape(40, 4, 4, 3)
Y = np.arange(40) % 7
Slices = tf.data.Dataset.from_tensor_slices
HERE = pathlib.Path(__file__).parent
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Return the function that writes a module of the user's and gives the dataset of it."""
    monkeypatch.syspath_prepend(str(tmp_path))
    number = iter(range(100))

    def write(code, name="", **fields):
        name = name or f"users_data_{next(number)}_{tmp_path.name.replace('-', '_')}"
        (tmp_path / f"{name}.py").write_text(HEAD + code)
        sys.modules.pop(name, None)
        importlib.invalidate_caches()
        fields = {"eval_split": "", "elements": "auto"} | fields
        return DatasetConfig(f"{name}:data", **fields)

    return write


def describe(config, tmp_path, **fields):
    return sources.describe(config, Stage(str(tmp_path / "stage"), **fields))


def load(config, tmp_path):
    info = describe(config, tmp_path)
    return reading.load(info, info.train, Stage(str(tmp_path / "stage")))


def refused(config, tmp_path, *parts, code=ExitCode.BAD_CONFIG, **fields):
    with pytest.raises(RunError) as caught:
        describe(config, tmp_path, **fields)
    assert caught.value.code is code, caught.value.reason
    for part in parts:
        assert part in caught.value.reason
    left = [p for p in (tmp_path / "stage").glob("kept/*/*") if p.name != ".lock"]
    assert left == []


SAME = {
    "batched": "def data(): return Slices((X, Y)).batch(7)",
    "not batched": "def data(): return Slices((X, Y))",
    "dictionary": "def data(): return {'train': Slices({'image': X, 'label': Y}).batch(8, True)}",
    "unbatched again": "def data():\n"
    "  return Slices((X, Y)).batch(9).map(lambda x, y: (x, y)).unbatch()",
    "pipeline": "def data(): return Slices((X, Y)).map(lambda x, y: (x, y), num_parallel_calls=2, "
    "deterministic=False).cache().batch(16).prefetch(2)",
    "labels [N, 1]": "def data(): return Slices((X, Y[:, None])).batch(7)",
    "generator": "def data():\n  for x, y in zip(X, Y): yield x, y",
    "generator of batches": "def data():\n"
    "  for i in range(0, 40, 16): yield {'image': X[i:i+16], 'label': Y[i:i+16]}",
    "from_generator": "def data(): return tf.data.Dataset.from_generator(lambda: zip(X, Y), "
    "output_types=(tf.uint8, tf.int64), output_shapes=([4, 4, 3], []))",
    "a function in a split": "def rows(): return (yield from zip(X, Y))\n"
    "def data(): return {'train': rows}",
    "PyDataset": "class Data(keras.utils.PyDataset):\n"
    "  def __len__(self): return 5\n"
    "  def __getitem__(self, i): return X[9 * i : 9 * i + 9], Y[9 * i : 9 * i + 9]\n"
    "def data(): return Data()",
}
BATCHES = ("generator of batches",)


@pytest.mark.parametrize("kind", SAME)
def test_every_form_gives_the_same_examples(write, tmp_path, kind):
    how = "batches" if kind in BATCHES else "auto"
    config = write(SAME[kind], elements=how)
    info = describe(config, tmp_path)
    assert info.features["label"].num_classes == 7
    assert info.features["image"].is_image
    found = load(config, tmp_path)
    assert np.array_equal(found["image"], np.arange(40 * 48, dtype=np.uint8).reshape(40, 4, 4, 3))
    assert np.array_equal(found["label"], np.arange(40) % 7)


def test_every_kind_of_value_comes_back_bit_for_bit(write, tmp_path):
    code = """
KINDS = ["float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16"]
def data():
    made = {k: np.frombuffer(np.random.default_rng(1).bytes(24 * 2 * np.dtype(k).itemsize), k)
            .reshape(24, 2) for k in KINDS}
    made |= {"yes": np.arange(24) % 3 == 0, "half": tf.cast(tf.range(24), tf.bfloat16)}
    made |= {"text": np.array([f"{i}-\\u00e4" for i in range(24)]), "words": [["a", "bc"]] * 24}
    return Slices(made)
"""
    found = load(write(code), tmp_path)
    for kind in ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8"):
        size = 24 * 2 * np.dtype(kind).itemsize
        assert found[kind].tobytes() == np.random.default_rng(1).bytes(size)
    assert found["text"][3] == "3-\u00e4".encode()
    assert found["words"].tolist() == [[b"a", b"bc"]] * 24
    assert np.array_equal(found["half"].astype(int), np.arange(24))
    assert np.array_equal(found["yes"], np.arange(24) % 3 == 0)


REFUSED = {
    "endless": ("def data(): return Slices((X, Y)).repeat()", "no end", ".take(n)"),
    "ragged": (
        "def data(): return Slices({'x': tf.ragged.constant([[1], [1, 2]])})",
        *("'x' is a RaggedTensor", "to_tensor"),
    ),
    "sparse": (
        "def data(): return Slices({'x': tf.sparse.from_dense([[1, 0], [0, 2]])})",
        *("'x' is a SparseTensor", "to_dense"),
    ),
    "random": (
        "def data():\n"
        "  return Slices((X, Y)).map(lambda x, y: (tf.image.random_flip_left_right(x), y))",
        *("draws random numbers (RandomUniform", "config.augment"),
    ),
    "random inside": (
        "@tf.function\ndef f(x): return tf.cond(x > 0, lambda: tf.random.normal([]), lambda: 0.0)\n"
        "def data(): return Slices({'x': np.ones(4)}).map(lambda r: {'x': f(r['x'])})",
        *("draws random numbers", "config.augment"),
    ),
    "random layer": (
        "def data():\n  flip = keras.layers.RandomFlip()\n"
        "  return Slices((X, Y)).map(lambda x, y: (flip(x, training=True), y))",
        *("draws random numbers (Assign", "config.augment"),
    ),
    "generator that draws": (
        "def data():\n  for i in range(4): yield np.random.rand(3), 1",
        *("is another each time", "give a seed"),
    ),
    "order that is drawn": (
        "def data(): return Slices((np.random.permutation(10**6)[:40], Y))",
        *("is another each time", "give a seed"),
    ),
    "either": (
        "def data():\n  while True: yield X[:8], Y[:8]",
        *("one example, or a batch", "config.dataset.elements=batches"),
    ),
    "nested": ("def data(): return Slices({'a': {'b': Y}})", "'a' is a dict", "flat"),
    "complex": ("def data(): return Slices({'x': tf.cast(Y, tf.complex64)})", "complex64", "cast"),
    "a list": ("def data():\n  yield [[1], [1, 2]], 3", "'input'"),
    "a number": ("def data(): return 3", "returned int", "tf.data.Dataset"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_kept_is_refused_by_name(write, tmp_path, kind):
    code, *parts = REFUSED[kind]
    refused(write(code), tmp_path, *parts)


DAMAGED = {
    "shape": ("def data():\n  for i in range(5): yield np.zeros(3 + (i == 3)), 1", "example 3"),
    "dtype": (
        "def data():\n  for i in range(5): yield np.zeros(3, 'f4' if i < 4 else 'f8'), 1",
        *("example 4", "float64"),
    ),
    "a key": (
        "def data():\n  for i in range(5): yield {'x': 1} | ({'y': 2} if i > 1 else {})",
        "example 2 has the features",
    ),
    "a label below 0": ("def data():\n  for i in range(5): yield X[i], 1 - i", "example 2 is -1"),
    "nothing": ("def data():\n  yield from ()", "yields nothing"),
    "a pipeline that fails": (
        "def data(): return Slices([1, 2, 0]).map(lambda x: {'x': 6 // x}).batch(1)",
        *("fails at element 2", "division"),
    ),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_an_example_of_another_form_is_named(write, tmp_path, kind):
    code, *parts = DAMAGED[kind]
    refused(write(code), tmp_path, *parts, code=ExitCode.BAD_DATA)


def test_the_size_is_limited_and_the_flag_named(write, tmp_path):
    config = write("def data():\n  while True: yield np.zeros(100), 1")
    refused(config, tmp_path, "--stage_bytes", "take(n)", num_bytes=100_000)


def test_a_split_cut_out_of_a_shuffle_shares_nothing_with_the_rest(write, tmp_path):
    code = """
def data():
    whole = Slices({"x": np.arange(100)}).shuffle(100)
    return {"train": whole.take(80).batch(8), "test": whole.skip(80).batch(8)}
"""
    info = describe(write(code, eval_split="test"), tmp_path)
    stage = Stage(str(tmp_path / "stage"))
    both = [reading.load(info, split, stage)["x"] for split in (info.train, info.evaluation)]
    assert sorted(np.concatenate(both)) == list(range(100))
    assert both[0].tolist() != list(range(80))


COUNTING = """
def data():
    with (HERE / "calls").open("a") as file:
        file.write("x")
    rows = np.loadtxt(HERE / "rows.csv")
    return Slices({"x": rows}).batch(4)
"""


def calls(tmp_path):
    path = tmp_path / "calls"
    count = len(path.read_text()) if path.exists() else 0
    path.unlink(missing_ok=True)
    return count


def test_it_is_read_again_when_code_arguments_or_files_change_and_else_not(write, tmp_path, capsys):
    rows = tmp_path / "rows.csv"
    rows.write_text("1\n2\n3\n")
    config = write(COUNTING, name="counted")
    before = describe(config, tmp_path).fingerprint()
    assert calls(tmp_path) > 0
    assert describe(config, tmp_path).fingerprint() == before
    assert calls(tmp_path) == 0
    rows.write_text("1\n2\n4\n")
    assert describe(config, tmp_path).fingerprint() != before
    assert calls(tmp_path) > 0
    assert f"{rows} has changed" in capsys.readouterr().err
    write(COUNTING + "\n# another text", name="counted")
    describe(config, tmp_path)
    assert calls(tmp_path) > 0
    assert "counted.py has changed" in capsys.readouterr().err
    write(COUNTING.replace("data()", "data(n)"), name="counted")
    describe(DatasetConfig("counted:data", eval_split="", args={"n": 1}), tmp_path)
    assert calls(tmp_path) > 0


def test_files_that_tensorflow_reads_are_watched(write, tmp_path):
    path = tmp_path / "lines.txt"
    path.write_text("1\n2\n")
    config = write("def data(): return tf.data.TextLineDataset(str(HERE / 'lines.txt'))")
    before = describe(config, tmp_path).fingerprint()
    path.write_text("1\n3\n")
    assert describe(config, tmp_path).fingerprint() != before


def test_code_that_is_imported_is_watched(write, tmp_path):
    (tmp_path / "beside.py").write_text("SCALE = 1")
    config = write("from beside import SCALE\ndef data(): return Slices({'x': Y * SCALE})")
    before = load(config, tmp_path)["x"]
    (tmp_path / "beside.py").write_text("SCALE = 2")
    sys.modules.pop("beside")
    write(
        "from beside import SCALE\ndef data(): return Slices({'x': Y * SCALE})",
        name=config.name.partition(":")[0],
    )
    assert np.array_equal(load(config, tmp_path)["x"], 2 * before)


KILLED = """
import sys, time
from trainer.config import DatasetConfig
from trainer.data import sources
from trainer.data.records.files import Stage
sys.path.insert(0, sys.argv[1])
info = sources.describe(DatasetConfig("slow:data", eval_split=""), Stage(sys.argv[1] + "/stage"))
print(info.train.num_examples, info.fingerprint())
"""
SLOW = """
def data():
    for i in range(400):
        if not (HERE / "go").exists(): time.sleep(0.05)
        yield np.full(1000, i), 1
"""


def test_a_kill_in_the_middle_leaves_nothing_that_is_taken_for_whole(tmp_path):
    (tmp_path / "slow.py").write_text(
        "import pathlib, time\nimport numpy as np\nHERE = pathlib.Path(__file__).parent\n" + SLOW
    )
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    started = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in "ab"]
    while not list(tmp_path.glob("stage/kept/*/*/*.tfrecord")):
        time.sleep(0.01)
    time.sleep(0.3)
    for process in started:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    assert not list(tmp_path.glob("stage/kept/*/*/made.json"))
    (tmp_path / "go").write_text("")
    started = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in "ab"]
    told = {process.communicate()[0] for process in started}
    assert len(told) == 1
    assert told.pop().startswith("400 ")
    assert len(list(tmp_path.glob("stage/kept/*/*/"))) == 1


def test_what_another_process_reads_is_not_swept(tmp_path):
    with kept.alone(tmp_path, "x"), kept.new(tmp_path) as first:
        kept.commit(first, (), {}, {"n": 1})
    kept.hold(first)
    with kept.alone(tmp_path, "x"), kept.new(tmp_path) as second:
        kept.commit(second, (), {}, {"n": 2})
    assert first.exists()
    assert second.exists()
