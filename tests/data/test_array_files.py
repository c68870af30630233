"""Arrays as others keep them: NPZ, NPY, DataFrames, ArrayRecord."""

import numpy as np
import pytest

from common.exit_codes import RunError
from tests.data.foreign import arrays_of
from tests.data.shards import FEATURES, example, png
from tests.data.written import write_array_record

CLASSES = np.arange(4) % 3


def test_text_of_numpy_is_text_and_that_of_a_label_its_classes(tmp_path, load):
    texts = {"x": np.array(["a", "é", "", "c"]), "label": np.array(["u", "v", "u", "w"])}
    np.savez_compressed(tmp_path / "train.npz", **texts)
    info, found = load("train.npz")
    assert found["x"].tolist() == [b"a", "é".encode(), b"", b"c"]
    assert found["label"].tolist() == [0, 1, 0, 2]
    assert info.features["label"].classes == ("u", "v", "w")
    texts["x"][1] = "b"
    np.savez_compressed(tmp_path / "train.npz", **texts)
    assert load("train.npz")[0].fingerprint() != info.fingerprint()


@pytest.mark.parametrize(
    ("x", "parts"),
    [
        (np.array([1, "a", None, 2], object), ["Python objects"]),
        (np.zeros(4, [("a", "i4")]), ["'x'", "not an array of numbers"]),
        (np.zeros(4, "M8[s]"), ["'x'", "datetime64"]),
        (np.zeros(4, complex), ["'x'", "complex128"]),
        (np.array(5), ["'x'", "one row an example"]),
        (np.zeros(3), ["different length"]),
    ],
    ids=["objects", "records", "dates", "complex", "scalar", "short"],
)
def test_arrays_that_cannot_be_held_are_named(tmp_path, refused, x, parts):
    np.savez(tmp_path / "train.npz", x=x, label=CLASSES)
    refused("train.npz", *parts)


def test_one_file_of_all_splits_is_read_by_the_names_of_its_arrays(tmp_path, load, refused):
    pixels = np.arange(24, dtype=np.uint8).reshape(6, 2, 2)
    held = {"x_train": pixels[:4], "y_train": CLASSES, "x_test": pixels[4:], "y_test": CLASSES[:2]}
    np.savez(tmp_path / "mnist.npz", **held)
    args = {"features": {"image": "x_{split}", "label": "y_{split}"}}
    info, found = load("mnist.npz", args=args, eval_split="test")
    assert np.array_equal(found["image"], pixels[:4])
    assert np.array_equal(info.evaluation.rows()["image"], pixels[4:])
    refused("mnist.npz", "'z_train' does not exist", args={"features": {"x": "z_{split}"}})


def test_a_file_of_npy_is_a_feature(tmp_path, load, refused):
    np.save(tmp_path / "train_x.npy", np.arange(4, dtype=">f8"))
    np.save(tmp_path / "train_label.npy", CLASSES)
    _, found = load("{split}_*.npy")
    assert found["x"].tolist() == [0, 1, 2, 3]
    refused("train_x.npy", "holds one feature")
    _, found = load("train_x.npy", args={"features": ["x"]})
    assert found["x"].tolist() == [0, 1, 2, 3]


def test_files_that_are_no_arrays_are_named(tmp_path, refused):
    (tmp_path / "a.npz").write_bytes(b"none")
    refused("a.npz", "a.npz: is no file of NumPy")
    np.savez(tmp_path / "b.npz", x=np.zeros(100), label=np.zeros(100, int))
    (tmp_path / "b.npz").write_bytes((tmp_path / "b.npz").read_bytes()[:200])
    refused("b.npz", "b.npz: ")


class Column:
    """A column of a DataFrame, as far as it is asked for anything."""

    def __init__(self, values):
        self._values = values

    def to_numpy(self):
        return self._values


class Frame:
    def __init__(self, names, columns):
        self.columns = names
        self._held = dict(zip(names, columns, strict=True))

    def __getitem__(self, name):
        return Column(self._held[name])


NA = type("NAType", (), {})()


def test_a_frame_is_read_by_columns(monkeypatch):
    texts, numbers = np.array(["a", "b"], object), np.array([1, 2], object)
    frame = Frame(["x", 3, "label"], [np.array([1.5, 2]), numbers, texts])
    info = arrays_of(monkeypatch, frame)
    assert info.train.rows()["3"].tolist() == [1, 2]
    assert info.features["3"].dtype == "int64"
    assert info.features["label"].classes == ("a", "b")


@pytest.mark.parametrize(
    "values",
    [[1.5, np.nan], np.array([1, NA], object), np.array(["a", None], object)],
)
def test_a_missing_value_of_a_frame_is_named(monkeypatch, values):
    frame = Frame(["x", "label"], [np.asarray(values), np.array([0, 1])])
    with pytest.raises(RunError, match="row 1: column 'x' is missing"):
        arrays_of(monkeypatch, frame)


def test_frames_of_pandas_are_read(monkeypatch):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {
            "x": pandas.array([1, 2], "Int64"),
            "s": ["u", "é"],
            "label": pandas.Categorical(["c", "d"]),
        },
        index=[7, 3],
    )
    rows = arrays_of(monkeypatch, frame).train.rows()
    assert rows["x"].tolist() == [1, 2]
    assert rows["s"].tolist() == [b"u", "é".encode()]
    assert rows["label"].tolist() == [0, 1]
    frame.columns = ["x", "x", "label"]
    with pytest.raises(RunError, match="the column 'x' twice"):
        arrays_of(monkeypatch, frame)


def test_text_keeps_its_zeros(monkeypatch):
    info = arrays_of(monkeypatch, {"x": [b"a\0", b"bcd", b"", b"\0"], "label": CLASSES})
    assert info.train.rows()["x"].tolist() == [b"a\0", b"bcd", b"", b"\0"]


def test_a_damaged_array_record_is_named(tmp_path, load, refused):
    path = tmp_path / "train-0.array_record"
    write_array_record(path, (example(image=png(i), label=i % 5) for i in range(6)))
    args = {"features": FEATURES}
    name = "{split}-*.array_record"
    assert load(name, args=args)[1]["image"][:, 0, 0, 0].tolist() == list(range(6))
    whole = path.read_bytes()
    for data in (whole[:60_000], whole[:65_636] + b"x" + whole[65_637:], b"none"):
        path.write_bytes(data)
        refused(name, "train-0.array_record: ", args=args)
