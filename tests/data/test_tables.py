"""Tables as others write them: CSV, Parquet and Arrow arrive value for value, or are refused."""

import datetime
import decimal
import gzip
import io
import json

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from tests.data.written import png

GOOD = "x,label\n1,cat\n2,dog\n"


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("train.csv", GOOD.encode()),
        ("TRAIN.CSV", GOOD.encode()),
        ("train.tsv", GOOD.replace(",", "\t").encode()),
        ("train.csv.gz", gzip.compress(GOOD.encode(), mtime=0)),
        ("train.csv", b"\xef\xbb\xbf" + GOOD.encode()),
        ("train.csv", b'"x","label"\r\n"1","cat"\r\n2,dog\r\n'),
        ("x y.csv", b"x,label\n1,cat\n2,dog"),
    ],
)
def test_a_csv_is_read_however_it_is_written(tmp_path, load, name, data):
    (tmp_path / name).write_bytes(data)
    info, found = load(name)
    assert found["x"].tolist() == [1, 2]
    assert found["label"].tolist() == [0, 1]
    assert info.features["label"].classes == ("cat", "dog")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("x,label\n1,0\n,1\n", ["row 1: column 'x' is missing"]),
        ("x,label\n1,0\nNaN,1\n", ["row 1: column 'x' is missing"]),
        ("x,x,label\n1,2,0\n", ["the column 'x' twice"]),
        ("x,label\n1,0\n2\n", ["Expected 2 columns, got 1"]),
        ("x,label\n2020-01-01,0\n", ["column 'x' is a date32", "features"]),
        ("x,label\n9223372036854775808,0\n", ["9223372036854775808", "dtype"]),
        ("5.1,3\n1,2\n", ["no names of columns", "columns"]),
        ("x,label\n1,-1\n", ["row 0", "'label' is -1", "target"]),
        ("x,label\n1,1.5\n", ["row 0", "'label' is 1.5", "target"]),
        ("x,label\n", ["holds 0 examples"]),
        ("", ["Empty CSV file"]),
    ],
)
def test_a_csv_with_what_cannot_be_held_is_refused(tmp_path, refused, text, parts):
    (tmp_path / "train.csv").write_text(text)
    refused("train.csv", *parts)


def test_text_in_another_alphabet_than_utf8_is_refused(tmp_path, refused):
    (tmp_path / "train.csv").write_bytes("x,label\né,1\n".encode("latin-1"))
    refused("train.csv", "column 'x'", "UTF-8")


def test_columns_that_are_not_listed_are_not_looked_at(tmp_path, load, refused):
    (tmp_path / "train.csv").write_text("x,when,gap,label\n1,2020-01-01,,0\n2,2020-01-02,7,1\n")
    _, found = load("train.csv", args={"features": ["x", "label"]})
    assert list(found) == ["x", "label"]
    refused("train.csv", "'labe' does not exist", "'label'", args={"features": ["x", "labe"]})
    refused("train.csv", "'feature' does not exist", args={"feature": ["x"]})


@pytest.mark.parametrize(
    "case",
    [
        ("uint8", "255", 255), ("uint8", "256", None), ("uint8", "-1", None),
        ("int64", "-9223372036854775808", -(2**63)), ("uint64", "18446744073709551615", 2**64 - 1),
        ("float32", "0.1", np.float32(0.1)), ("float16", "1e6", None), ("float64", "1e300", 1e300),
        ("bool", "true", True), ("int64", "0.5", None),
    ],
)  # fmt: skip
def test_a_type_that_is_written_is_kept_or_refused(tmp_path, load, refused, case):
    dtype, value, kept = case
    (tmp_path / "train.csv").write_text(f"x,label\n{value},0\n")
    args = {"features": {"x": {"dtype": dtype}, "label": {}}}
    if kept is None:
        refused("train.csv", "train.csv", args=args)
    else:
        info, found = load("train.csv", args=args)
        assert info.features["x"].dtype == dtype
        assert found["x"].tolist() == [kept]


def test_files_of_different_types_are_refused_until_one_is_written(tmp_path, load, refused):
    (tmp_path / "train-0.csv").write_text("x,label\n1,a\n")
    (tmp_path / "train-1.csv").write_text("x,label\n1.5,b\n")
    (tmp_path / "._train-2.csv").write_bytes(b"left by a Mac")
    refused("{split}-*.csv", "column 'x' is float64[], and int64[]", "dtype")
    args = {"features": {"x": {"dtype": "float32"}, "label": {"classes": ["b", "a"]}}}
    _, found = load("{split}-*.csv", args=args)
    assert found["x"].tolist() == [1, 1.5]
    assert found["label"].tolist() == [1, 0]


def write(folder, columns, schema=None):
    table = pa.table(columns, schema=schema)
    parquet.write_table(table, folder / "train.parquet")


LABEL = [0, 1, 2]


@pytest.mark.parametrize(
    ("column", "args", "expected"),
    [
        ([[1, 2], [3, 4], [5, 6]], {}, [[1, 2], [3, 4], [5, 6]]),
        ([[[1], [2]]] * 3, {}, [[[1], [2]]] * 3),
        ([[1, 2], [3], []], {"shape": [2], "padded": True}, [[1, 2], [3, 0], [0, 0]]),
        (["a", "é", ""], {}, [b"a", "é".encode(), b""]),
        (pa.array(["b", "a", "b"]).dictionary_encode(), {}, [b"b", b"a", b"b"]),
        ([b"\1\0", b"\2\0", b"\3\0"], {"encoding": "raw", "dtype": "int16", "shape": []}, LABEL),
        (pa.array([2**64 - 1, 0, 1], pa.uint64()), {}, [2**64 - 1, 0, 1]),
        (pa.array([True, False, True]), {}, [True, False, True]),
    ],
)
def test_columns_of_parquet_arrive(tmp_path, load, column, args, expected):
    write(tmp_path, {"x.y": column, "label": LABEL})
    _, found = load("train.parquet", args={"features": {"x.y": args, "label": {}}})
    expected = [1, 2, 3] if expected is LABEL else expected
    assert found["x.y"].tolist() == expected


@pytest.mark.parametrize(
    ("column", "parts"),
    [
        ([1, None, 3], ["row 1: column 'x' is missing"]),
        ([[1, 2], [3, 4], [5]], ["row 2", "holds 1 values, the first 2", "padded"]),
        ([[1, None]] * 3, ["row 0: column 'x' is missing"]),
        ([datetime.datetime(2020, 1, 1)] * 3, ["is a timestamp"]),
        ([decimal.Decimal("1.5")] * 3, ["is a decimal"]),
        ([{"a": 1}] * 3, ["is a struct<a: int64>"]),
        ([b"ab"] * 3, ["holds bytes", "encoding"]),
        (pa.nulls(3), ["row 0: column 'x' is missing"]),
    ],
)
def test_columns_of_parquet_that_cannot_be_held_are_named(tmp_path, refused, column, parts):
    write(tmp_path, {"x": column, "label": LABEL})
    refused("train.parquet", *parts, "features")


def test_images_and_classes_of_hugging_face_are_known(tmp_path, load, refused):
    told = {"label": {"_type": "ClassLabel", "names": list("abcdef")}, "image": {"_type": "Image"}}
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    schema = pa.schema(
        [("image", image), ("label", pa.int64())],
        metadata={"huggingface": json.dumps({"info": {"features": told}})},
    )
    pixels = np.arange(3 * 20, dtype=np.uint8).reshape(3, 4, 5, 1)

    def rows(files):
        return {"image": [{"bytes": f, "path": "x"} for f in files], "label": LABEL}

    files = [png(p) for p in pixels]
    write(tmp_path, rows(files), schema)
    info, found = load("train.parquet")
    assert info.features["label"].num_classes == 6
    assert np.array_equal(found["image"], pixels)
    write(tmp_path, rows([None, *files[1:]]), schema)
    refused("train.parquet", "row 0", "the file of the image is missing")
    write(tmp_path, rows([files[0], files[1], b"no image"]), schema)
    refused("train.parquet", "row 2", "is no image")
    large = io.BytesIO()
    Image.new("L", (9, 7)).save(large, "PNG")
    write(tmp_path, rows([*files[:2], large.getvalue()]), schema)
    refused("train.parquet", "different sizes", "row 2", "image_size")
    info, found = load("train.parquet", args={"image_size": [4, 5]})
    assert np.array_equal(found["image"][:2], pixels[:2])


@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
@pytest.mark.parametrize("stream", [False, True])
def test_arrow_is_read_from_files_and_streams(tmp_path, load, refused, compression, stream):
    tensor = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    table = pa.table({"x": pa.FixedShapeTensorArray.from_numpy_ndarray(tensor), "label": [0, 1]})
    options = pa.ipc.IpcWriteOptions(compression=compression)
    path = tmp_path / "train.arrow"
    make = pa.ipc.new_stream if stream else pa.ipc.new_file
    with make(str(path), table.schema, options=options) as writer:
        writer.write_table(table)
    assert np.array_equal(load("train.arrow")[1]["x"], tensor)
    path.write_bytes(path.read_bytes()[:150])
    refused("train.arrow", "train.arrow: ")


def test_a_file_that_was_rewritten_is_copied_anew_and_one_that_was_moved_is_not(tmp_path, load):
    def write_x(x):
        (tmp_path / "train.csv").write_text(f"x,label\n{x},0\n")
        return load("train.csv")

    (first, found), (second, other) = write_x(1), write_x(2)
    assert (found["x"].tolist(), other["x"].tolist()) == ([1], [2])
    assert first.fingerprint() != second.fingerprint()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "train.csv").rename(tmp_path / "elsewhere" / "train.csv")
    copies = set((tmp_path / "stage" / "plain").iterdir())
    third, _ = load("elsewhere/train.csv")
    assert third.fingerprint() == second.fingerprint()
    assert set((tmp_path / "stage" / "plain").iterdir()) == copies
