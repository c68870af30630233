"""Where two parts of the data meet: ignored classes and what is kept, batches and skip lists."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from common.exit_codes import RunError
from trainer.config import DatasetConfig, PartConfig, TrainConfig
from trainer.data import sources, verify
from trainer.data.records.files import Stage
from trainer.data.serving import reading
from trainer.data.sources import roles

IGNORED = "Y = np.where(np.arange(40) % 9 == 0, 255, np.arange(40) % 3)\n"
SPARSE = "sparse_categorical_crossentropy"
BATCHES = """
class Data(keras.utils.PyDataset):
    def __len__(self): return 5
    def __getitem__(self, i): return X[9 * i : 9 * i + 9], Y[9 * i : 9 * i + 9]
def data(): return {"train": Data(), "test": Data()}
"""


def task(dataset, **loss):
    config = TrainConfig(epochs=1, dataset=dataset, loss=PartConfig(SPARSE, loss))
    return roles.of_task(config)


@pytest.mark.parametrize("code", ["def data(): return Slices((X, Y))", BATCHES])
def test_an_ignored_class_is_none_whatever_was_kept_before(write, tmp_path, code):
    config = write(IGNORED + code)
    stage = Stage(str(tmp_path / "stage"))
    counts = []
    for ignored in ({}, {"ignore_class": 255}, {}):
        info = sources.describe(task(config, **ignored), stage)
        counts.append(info.features["label"].num_classes)
        assert len(reading.load(info, info.train, stage)["label"]) == 40
    assert counts == [256, 3, 256]


def test_workers_describe_a_data_function_in_a_process_apart(write, tmp_path):
    config = write("def data(): return Slices((X, Y))")
    stage = Stage(str(tmp_path / "stage"), apart=True)
    assert sources.describe(task(config), stage).train.num_examples == 40


def test_a_skip_list_of_one_split_leaves_the_other_alone(write, tmp_path):
    bad = "Y[30] = 9\n" + BATCHES.replace("Y[9 *", "Y.clip(0, 9)[9 *")
    bad += "Data.num_classes = 7\n"
    config = dataclasses.replace(write(bad), eval_split="test", train_split="train")
    stage, path = Stage(str(tmp_path / "stage")), tmp_path / "skip.json"
    train = TrainConfig(epochs=1, dataset=config, loss=PartConfig(SPARSE))
    with pytest.raises(RunError, match="18 bad records"):
        verify.verify(train, stage, path)
    only = dataclasses.replace(config, skip_list=str(path), train_split="train", eval_split="")
    # A batch is read as a whole, so all of its examples are left out.
    assert sources.describe(task(only), stage).train.skipped == tuple(range(27, 36))


def test_zeros_at_the_end_of_a_string_are_kept(write, tmp_path):
    config = write("def data(): return Slices({'x': X[:, 0, 0, 0], 't': [b'ab\\0\\0'] * 40})")
    stage = Stage(str(tmp_path / "stage"))
    info = sources.describe(task(config), stage)
    assert set(reading.load(info, info.train, stage)["t"].tolist()) == {b"ab\0\0"}


def test_a_new_file_beside_those_of_a_pipeline_is_seen(write, tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    code = f"def data(): return tf.data.Dataset.list_files({str(folder)!r} + '/*').map("
    config = write(code + "lambda p: {'x': tf.strings.length(p)})")
    stage, sizes = Stage(str(tmp_path / "stage")), []
    for name in ("a", "b"):
        (folder / name).touch()
        sizes.append(sources.describe(task(config), stage).train.num_examples)
    assert sizes == [1, 2]


def test_text_labels_of_a_pipeline_are_refused_by_name(write, tmp_path):
    config = write("def data(): return Slices((X, [b'cat', b'dog'] * 20))")
    with pytest.raises(RunError, match=r"'label' is text.*whole numbers"):
        sources.describe(task(config), Stage(str(tmp_path / "stage")))


def test_colours_that_come_late_are_seen(tmp_path):
    for name, mode in (("a", "L"), ("b", "RGB")):
        (tmp_path / "im" / name).mkdir(parents=True)
        for number in range(70):
            Image.new(mode, (8 + number, 9)).save(tmp_path / "im" / name / f"{number:03}.png")
    config = DatasetConfig(f"images:{tmp_path / 'im'}", eval_split="", args={"image_size": [8, 8]})
    info = sources.describe(task(config), Stage(str(tmp_path / "stage")))
    assert info.features["image"].shape == (8, 8, 3)


@pytest.mark.parametrize("name", ["mask", "label", "annotation"])
def test_a_mask_with_a_palette_is_its_classes_where_it_is_the_label(tmp_path, name):
    for folder in ("photos", "masks"):
        (tmp_path / "p" / folder).mkdir(parents=True)
    for number in range(3):
        Image.new("RGB", (8, 8)).save(tmp_path / "p" / "photos" / f"{number}.png")
        mask = Image.fromarray(np.full((8, 8), number, np.uint8)).convert("P")
        mask.putpalette([10, 20, 30] * 256)
        mask.save(tmp_path / "p" / "masks" / f"{number}.png")
    pairs = {"pairs": {"image": "photos", name: "masks"}}
    dataset = DatasetConfig(f"images:{tmp_path / 'p'}", eval_split="", args=pairs)
    args = {"label": name}
    config = TrainConfig(epochs=1, dataset=dataset, task=PartConfig("supervised", args))
    stage = Stage(str(tmp_path / "stage"))
    info = sources.describe(roles.of_task(config), stage)
    held = reading.load(info, info.train, stage)[name]
    assert held.shape == (3, 8, 8, 1)
    assert sorted(held[:, 0, 0, 0].tolist()) == [0, 1, 2]


def test_a_seed_of_the_process_does_not_make_a_shuffle_another_one(write, tmp_path):
    code = "tf.random.set_seed(7)\ndef data(): return Slices((X, Y)).shuffle(40)"
    stage = Stage(str(tmp_path / "stage"))
    info = sources.describe(task(write(code)), stage)
    assert len(reading.load(info, info.train, stage)["image"]) == 40
