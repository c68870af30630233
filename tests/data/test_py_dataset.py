"""A Keras `PyDataset` is read by number: the same examples in any order, and nothing is kept."""

import pytest
import tensorflow as tf

from common.exit_codes import ExitCode, RunError
from tests.data.test_serve import pipeline_of
from trainer.config import DatasetConfig
from trainer.data import sources

CLASS = """
class Data(keras.utils.PyDataset):
    read = []
    def __init__(self, size=103, batch=8, **options):
        super().__init__(**options)
        self.size, self.batch = size, batch
    def __len__(self):
        return -(-self.size // self.batch)
    def __getitem__(self, i):
        Data.read.append(i)
        ids = np.arange(i * self.batch, min((i + 1) * self.batch, self.size))
        return {"x": ids, "name": [f"row {i}" for i in ids]}, ids % 5
"""


def served(config, steps=30):
    pipeline = pipeline_of(config, batch_size=6, num_steps=steps)
    prepared = pipeline.prepare(0, steps)
    found = []
    for index in range(steps):
        selected = pipeline.select(prepared, tf.constant(index))
        batch, _ = pipeline.batch(selected, tf.constant(0, tf.int64), 3)
        for x, name, label in zip(
            *(batch[key].numpy().ravel() for key in ("x", "name", "label")), strict=True
        ):
            assert name == b"row %d" % x
            assert label == x % 5
            found.append(int(x))
    return found


@pytest.mark.parametrize("window", [0, 20])
def test_it_is_streamed_as_it_is_resident(write, tmp_path, window):
    config = write(CLASS + "def data(): return Data()", shuffle_window=window)
    one, other = (
        served(DatasetConfig(**{**vars(config), "serve": mode})) for mode in ("resident", "stream")
    )
    assert one == other
    assert sorted(one[:103]) == list(range(103))
    assert one[:103] != one[103:]


def test_a_slice_and_a_held_out_part_are_counted_in_examples(write):
    config = write(CLASS + "def data(): return Data()", train_split="train[5:]", holdout=10)
    info = sources.describe(config)
    assert (info.train.start, info.train.stop, info.evaluation.stop) == (5, 93, 103)
    assert info.features["label"].num_classes == 5


def test_a_window_reads_every_batch_about_once(write):
    config = write(
        CLASS + "Data.num_classes = 5\ndef data(): return Data()", serve="stream", shuffle_window=20
    )
    import importlib

    module = importlib.import_module(config.name.partition(":")[0])
    module.Data.read.clear()
    info = sources.describe(config)
    assert info.features["label"].num_classes == 5
    assert len(module.Data.read) <= 16  # a sample, not all
    assert module.Data.read.count(0) == 2  # the second time to compare
    module.Data.read.clear()
    served(config, steps=17)
    assert len(module.Data.read) <= 18 + 2 * 13


def test_some_content_is_part_of_the_fingerprint(write):
    first = sources.describe(
        write(CLASS + "def data(): return {'train': Data(), 'test': Data(50)}")
    )
    assert (
        first.fingerprint()
        != sources.describe(
            DatasetConfig(**{**vars(first.config), "train_split": "test"})
        ).fingerprint()
    )
    assert first.train.shards[12].crc32c


REFUSED = {
    "a batch of another size": (
        "class Other(Data):\n"
        "  def __getitem__(self, i):\n"
        "    x, y = super().__getitem__(i)\n"
        "    return {'x': x['x'][:7]} if i == 6 else {'x': x['x']}\n"
        "def data(): return Other()",
        *("batch 6 holds 7 examples and batch 0 8", "all but the last"),
    ),
    "random changes": (
        "class Other(Data):\n"
        "  def __getitem__(self, i): return np.random.rand(8, 2), np.arange(8)\n"
        "def data(): return Other()",
        *("batch 0", "is another each time", "augment"),
    ),
    "no length": (
        "class Other(Data):\n  def __len__(self): return 0\ndef data(): return Other()",
        *("num_batches is 0", "__len__"),
    ),
    "a list of inputs": (
        "class Other(Data):\n"
        "  def __getitem__(self, i): return [np.ones((8, 2)), np.ones((8, 3))], np.ones(8)\n"
        "def data(): return Other()",
        *("'input' is a list of 2", "give each a name"),
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_function_of_its_number_is_refused(write, kind):
    code, *parts = REFUSED[kind]
    with pytest.raises(RunError) as caught:
        served(write(CLASS + code))
    assert caught.value.code in (ExitCode.BAD_CONFIG, ExitCode.BAD_DATA)
    for part in parts:
        assert part in caught.value.reason


def test_a_label_that_is_no_class_is_named_when_it_is_read(write):
    config = write(
        CLASS + "class Other(Data):\n"
        "  num_classes = 5\n"
        "  def __getitem__(self, i):\n"
        "    x, y = super().__getitem__(i)\n"
        "    return x, y + (i == 2)\n"
        "def data(): return Other()",
        serve="stream",
    )
    pipeline = pipeline_of(config, batch_size=6, num_steps=30)
    prepared = pipeline.prepare(0, 30)
    with pytest.raises(tf.errors.OpError) as caught:
        for index in range(30):
            pipeline.select(prepared, tf.constant(index))
    reason = pipeline.cause(caught.value, 0, 30).reason
    assert "batch 2: 'label' is 1 to 5, and no label in 0..4" in reason


def test_values_are_compared_with_those_of_batch_0(write):
    code = (
        "class Other(Data):\n"
        "  def __getitem__(self, i): return {'x': np.ones((8, 2 + (i == 4)), 'f4')}\n"
        "def data(): return Other(104)"
    )
    with pytest.raises(RunError, match=r"batch 4: 'x' is float32\[3\], and float32\[2\]"):
        served(write(CLASS + code))
