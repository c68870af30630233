"""What can only be read from first to last is kept as records: exact, or refused by name."""

import numpy as np
import pytest

from common.exit_codes import ExitCode, RunError
from trainer.data import sources
from trainer.data.records.files import Stage
from trainer.data.serving import reading


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


@pytest.mark.parametrize(
    ("labels", "dtype"), [([1.0, 0.0, 0.25], "float32"), ([1.0, 0.0, 2.0], "int64")]
)
def test_whether_floats_are_classes_is_told_by_all_of_them(write, tmp_path, labels, dtype):
    code = f"def data():\n  for y in {labels}: yield np.zeros(2), np.float32(y)"
    found = load(write(code, elements="examples", roles={"label": "label"}), tmp_path)
    assert found["label"].dtype == dtype
    assert found["label"].tolist() == labels
