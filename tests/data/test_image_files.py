"""Images as others keep them: folders of classes, pairs with masks, tars of WebDataset."""

import io
import tarfile

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from common.exit_codes import ExitCode, RunError
from tests.data.shards import example
from tests.data.written import add, png
from trainer.commands import predict_input
from trainer.config import DatasetConfig
from trainer.data import sources
from trainer.data.info import Feature
from trainer.data.records import decode
from trainer.data.records.files import Stage
from trainer.data.serving import reading


def full(value, shape=(4, 5, 3)):
    return np.full(shape, value, np.uint8)


def encoded(image, kind="PNG", **options):
    stored = io.BytesIO()
    image.save(stored, kind, **options)
    return stored.getvalue()


def jpeg(value, mode="RGB"):
    return encoded(Image.fromarray(full(value)).convert(mode), "JPEG")


BASE = {
    "train/cat/b.png": png(full(1)),
    "train/cat/a.PNG": png(full(2)),
    "train/dog/1.jpg": jpeg(200),
    "test/ant/x.png": png(full(4)),
}


def write(folder, files):
    for name, data in (BASE | files).items():
        path = folder / "f" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


NAME = "images:f/{split}"


def test_a_folder_is_a_class_and_both_splits_count_them(tmp_path, load):
    write(tmp_path, {"train/cat/.DS_Store": b"x", "train/cat/Thumbs.db": b"x"})
    (tmp_path / "f" / "train" / "bee").mkdir()
    (tmp_path / "f" / "train" / "cat" / "link.png").symlink_to(tmp_path / "f/train/dog/1.jpg")
    info, found = load(NAME, eval_split="test")
    assert info.features["label"].classes == ("ant", "bee", "cat", "dog")
    assert found["label"].tolist() == [2, 2, 2, 3]
    assert found["image"][:, 0, 0, 0].tolist() == [2, 1, 200, 200]
    assert info.features["image"].shape == (4, 5, 3)


def test_without_its_label_a_folder_is_all_images_below_it(tmp_path, load, refused):
    write(tmp_path, {"train/x.png": png(full(7)), "train/cat/deep/a.jpg": jpeg(9)})
    info, found = load("images:f/train", args={"features": ["photo"]})
    assert list(info.features) == ["photo"]
    assert found["photo"][:, 0, 0, 0].tolist() == [2, 1, 9, 200, 7]
    refused("images:f/train", "one image an example", args={"features": ["photo", "mask"]})
    given = {"photo": {"encoding": "image", "dtype": "uint8", "shape": [9, 9, 3]}}
    refused("images:f/train", "4 x 5 pixels, and not 9 x 9", args={"features": given})
    (tmp_path / "none").mkdir()
    refused("images:none", "no .bmp, .gif", args={"features": ["photo"]})


@pytest.mark.parametrize(
    ("files", "name", "parts"),
    [
        ({}, "images:f", ["are splits", "{split}"]),
        ({}, "images:none", ["is no folder"]),
        ({"train/cat/x.tiff": b"x"}, NAME, ["x.tiff is no .bmp"]),
        ({"train/x.png": png(full(1))}, NAME, ["lies in no folder of a class"]),
        ({"train/cat/x.png": b"none"}, NAME, ["x.png is no image"]),
        ({"train/cat/x.png": png(full(1, (9, 5, 3)))}, NAME, ["different sizes", "image_size"]),
        ({"train/cat/x.png": png(full(1, (4, 5, 4)))}, NAME, ["transparency"]),
        (
            {"train/cat/x.png": png(np.zeros((4, 5, 1), np.uint16))},
            NAME,
            ["8 bits a channel", "16"],
        ),
    ],
)  # fmt: skip
def test_what_is_no_class_or_no_image_is_named(tmp_path, refused, files, name, parts):
    write(tmp_path, files)
    refused(name, *parts)


def test_a_link_to_nothing_is_named(tmp_path, refused):
    write(tmp_path, {})
    (tmp_path / "f" / "train" / "cat" / "x.png").symlink_to(tmp_path / "gone")
    refused(NAME, "x.png: is a link to", "gone")


def test_a_window_over_sorted_classes_is_refused(tmp_path, refused):
    write(tmp_path, {})
    refused(NAME, "shuffle_window=2", "sorted by class", shuffle_window=2)


@pytest.mark.parametrize("value", [100])
def test_grey_and_print_colours_become_colours(tmp_path, load, value):
    write(
        tmp_path, {"train/cat/0.jpg": jpeg(value, "CMYK"), "train/cat/1.png": png(full(7)[..., :1])}
    )
    _, found = load(NAME)
    assert np.abs(found["image"][0].astype(int) - value).max() <= 2
    assert (found["image"][1] == 7).all()


def test_16_bits_arrive_whole_resized_or_not(tmp_path, load):
    pixels = (np.arange(20, dtype=np.uint16) * 3000).reshape(4, 5, 1)
    place = tmp_path / "g" / "train" / "a"
    place.mkdir(parents=True)
    (place / "0.png").write_bytes(png(pixels))
    assert np.array_equal(load("images:g/{split}")[1]["image"][0], pixels)
    (place / "1.png").write_bytes(png(np.full((8, 10, 1), 40_000, np.uint16)))
    _, found = load("images:g/{split}", args={"image_size": [4, 5]})
    assert found["image"].dtype == np.uint16
    assert (found["image"][1] == 40_000).all()


def test_an_image_that_changes_under_the_run_is_found(tmp_path, load):
    write(tmp_path, {})
    info, _ = load(NAME)
    (tmp_path / "f" / "train" / "cat" / "b.png").write_bytes(png(full(9)))
    with pytest.raises(RunError, match=r"b\.png: is not what it was") as caught:
        reading.load(info, info.train, Stage(str(tmp_path / "stage")))
    assert caught.value.code is ExitCode.BAD_DATA
    again, _ = load(NAME)
    assert again.fingerprint() != info.fingerprint()


def test_predict_decodes_a_folder_as_training_does(tmp_path):
    """Two decoders of JPEG differ in the last bits, and then the outputs do."""
    noise = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), "JPEG")
    (tmp_path / "0.jpg").write_bytes(data)
    for shape, resized in (((9, 7, 3), False), ((5, 5, 3), True)):
        feature = Feature(shape, "uint8", encoding="image", role="image", resized=resized)
        trained = decode.make_parser({"image": feature})(tf.constant([example(image=data)]))
        info = predict_input.of_data(DatasetConfig(), {"image": feature}, str(tmp_path))
        found = reading.load(info, info.train, Stage())
        assert np.array_equal(found["image"], trained["image"])
    of_another_size = Feature((5, 5, 3), "uint8", role="image")
    with pytest.raises(RunError, match="9 x 7 pixels, and not 5 x 5"):
        predict_input.of_data(DatasetConfig(), {"image": of_another_size}, str(tmp_path))


MASK = np.random.default_rng(0).integers(0, 3, (4, 5)).astype(np.uint8)


def palette(bits):
    image = Image.fromarray(MASK)
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    return encoded(image, bits=bits)


PAIRS = {"pairs": {"image": "photos", "mask": "masks"}}


def pair(folder, mask, name="1.png"):
    for place, data in ((f"photos/{'1.jpg'}", jpeg(5)), (f"masks/{name}", mask)):
        path = folder / "p" / "train" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


@pytest.mark.parametrize(
    ("mask", "classes"),
    [
        (png(MASK[..., np.newaxis]), MASK),
        (palette(2), MASK),
        (palette(8), MASK),
        (encoded(Image.fromarray(MASK > 0)), MASK > 0),
    ],
    ids=["grey", "palette of 2 bits", "palette of 8 bits", "1 bit"],
)
def test_a_mask_is_the_numbers_of_its_classes(tmp_path, load, mask, classes):
    pair(tmp_path, mask)
    info, found = load("images:p/{split}", args=PAIRS)
    assert info.features["mask"].role == "mask"
    assert np.array_equal(found["mask"][0, ..., 0], classes)


@pytest.mark.parametrize(
    ("mask", "name", "reason"),
    [
        (png(full(3)), "1.png", "colours are no classes"),
        (jpeg(3, "L"), "1.jpg", "colours are no classes"),
        (png(MASK[..., np.newaxis]), "2.png", "has no 'mask' of its name"),
    ],
)
def test_a_mask_of_another_kind_is_refused(tmp_path, refused, mask, name, reason):
    pair(tmp_path, mask, name)
    refused("images:p/{split}", reason, args=PAIRS)


def tar(path, members, mode="w"):
    with tarfile.open(path, mode) as opened:
        for name, data in members:
            add(opened, name, data)


def member(i):
    return [(f"d/{i:03d}.JPG", jpeg(i * 40)), (f"d/{i:03d}.cls", str(i % 3).encode())]


MEMBERS = [pair for i in range(5) for pair in member(i)]


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_tar_is_read_by_the_kinds_of_its_members(tmp_path, load, mode):
    tar(tmp_path / "train.tar", [*MEMBERS, ("d/._x.jpg", b"left by a Mac")], mode)
    _, found = load("train.tar")
    assert found["label"].tolist() == [0, 1, 2, 0, 1]
    assert found["image"][:, 0, 0, 0].tolist() == [0, 40, 80, 120, 160]
    stored = io.BytesIO()
    np.save(stored, np.arange(3))
    files = [("a.npy", stored.getvalue()), ("a.txt", "é".encode()), ("a.seg.png", palette(8))]
    tar(tmp_path / "other.tar", files, mode)
    names = {"x": "npy", "text": "txt", "mask": "seg.png"}
    _, found = load("other.tar", args={"members": names})
    assert found["x"].tolist() == [[0, 1, 2]]
    assert found["text"].tolist() == ["é".encode()]
    fields = {"x": {"dtype": "float32"}, "text": {"dtype": "string"}}
    _, given = load("other.tar", args={"members": names, "features": fields})
    assert given["x"].dtype == np.float32
    assert np.array_equal(given["x"], found["x"])
    assert np.array_equal(found["mask"][0, ..., 0], MASK)


@pytest.mark.parametrize(
    ("members", "args", "parts"),
    [
        (MEMBERS[:-1], {}, ["'d/004'", "'label' is one member cls", "members"]),
        ([MEMBERS[0], MEMBERS[2], MEMBERS[1]], {}, ["'d/000' do not lie together"]),
        ([MEMBERS[0], MEMBERS[0]], {}, ["d/000.JPG twice"]),
        ([("a.jpg", jpeg(1)), ("a.cls", b"cat")], {}, ["a.cls", "'cat'"]),
        (MEMBERS, {"features": {"label": {"dtype": "bool"}}}, ["'d/002'", "is 2, which no bool"]),
        (MEMBERS, {"features": {"label": {"dtype": "string"}}}, ["'label' is no string"]),
        ([("a.json", b"{}")], {"members": {"x": "json"}}, ["a.json is not read"]),
        ([("a.jpg", b"none"), ("a.cls", b"1")], {}, ["a.jpg is no image"]),
        ([], {}, ["holds 0 examples"]),
    ],
)
def test_a_tar_of_another_form_is_named(tmp_path, refused, members, args, parts):
    tar(tmp_path / "train.tar", members)
    refused("train.tar", *parts, args=args)


def test_a_tar_that_is_cut_off_is_named(tmp_path, refused):
    tar(tmp_path / "train.tar", MEMBERS)
    for size in (4000, 1000, 100):
        (tmp_path / "train.tar").write_bytes((tmp_path / "train.tar").read_bytes()[:size])
        refused("train.tar", "train.tar: is no whole tar")


def test_the_library_of_a_format_that_is_not_there_is_named(tmp_path, monkeypatch, refused):
    import sys

    for name, module, extra in (("x.csv", "pyarrow", "arrow"), ("x.parquet", "pyarrow", "arrow")):
        monkeypatch.setitem(sys.modules, module, None)
        refused(name, f"needs {module}: pip install 'lockstep[{extra}]'")
    assert sources.FORMS
