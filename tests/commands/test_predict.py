"""`predict` and `export` for any signature of a model, from any source and into every format."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from common.exit_codes import RunError
from tests.processes import ROOT
from trainer.commands import predict_files

CASES = ("of_two", "of_table", "of_images", "of_sequence")


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("predicted")
    command = [sys.executable, "-m", "tests.commands.predicted", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("case", CASES)
def test_the_same_examples_give_the_same_bits_from_every_source(found, case) -> None:
    assert all(found[case]["same"].values()), found[case]["same"]


@pytest.mark.parametrize("case", CASES[1:])
def test_what_is_predicted_is_what_was_evaluated(found, case) -> None:
    predicted, evaluated = found[case]["accuracy"]
    assert predicted == pytest.approx(evaluated, rel=1e-6)


def test_the_loss_of_several_outputs_is_the_evaluated_one(found) -> None:
    predicted, evaluated = found["of_two"]["loss"]
    assert predicted == pytest.approx(evaluated, rel=1e-6)


def test_every_output_has_columns_that_say_what_they_are(found) -> None:
    two, table = found["of_two"], found["of_table"]
    assert two["columns"] == {
        "source": [13],
        "box": [13, 1],
        "label_largest": [13],
        "label": [13, 3],
    }
    assert two["csv"] == {
        "source": "string",
        "box": "double",
        "label_largest": "int64",
        **{f"label_{index}": "double" for index in range(3)},
    }
    assert table["types"] == ["string", "int64", "fixed_size_list<element: float>[2]"]


def test_a_row_says_which_example_it_is_of(found) -> None:
    assert found["of_two"]["sources"] == ["test#0", "test#1"]
    assert found["of_table"]["source"] == "new.csv#12"
    names = [f"{n % 2}/{n:02}.png" for n in (*range(0, 13, 2), *range(1, 13, 2))]
    assert found["of_images"]["sources"] == names


def test_an_export_describes_what_its_saved_model_reads_and_gives(found) -> None:
    card = found["of_two"]["card"]
    assert card["inputs"] == [
        {"name": "x", "shape": [4], "dtype": "float32"},
        {"name": "age", "shape": [1], "dtype": "float32"},
    ]
    assert {x["name"]: (x["shape"], x["dtype"]) for x in card["outputs"]} == {
        "box": ([1], "float32"),
        "label": ([3], "float32"),
    }
    text = {x["name"]: (x["shape"], x["dtype"]) for x in found["of_table"]["card"]["inputs"]}
    assert text == {"colour": ([], "string"), "size": ([], "float64")}
    sequence = found["of_sequence"]["card"]
    assert (sequence["inputs"][0]["dtype"], sequence["output_shape"]) == ("int32", [5, 9])


def test_a_form_that_a_model_does_not_have_is_named_in_one_line(found) -> None:
    card = found["of_images"]["card"]
    assert card["files"] == ["saved_model"]
    assert "get_config()" in card["missing"]["model.keras"]
    first, line = card["printed"].splitlines()
    assert first.endswith("exported: saved_model")
    assert line.startswith("model.keras is missing: NotImplementedError: Object Unsaved")
    assert found["of_images"]["saved_model"] == pytest.approx(0, abs=1e-5)


def test_litert_is_written_where_its_converter_takes_the_model(found) -> None:
    assert found["of_two"]["card"]["files"] == ["saved_model", "model.keras", "model.tflite"]
    assert found["of_two"]["litert"] == pytest.approx(0, abs=1e-5)
    sequence = found["of_sequence"]["card"]
    assert sequence["files"] == ["saved_model", "model.keras"]
    assert "'tf.TensorListReserve' op" in sequence["missing"]["model.tflite"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("out.txt", "does not end in .jsonl, .csv, .parquet, .npz"),
        ("out.pq", "does not end in"),
    ],
)
def test_a_file_of_no_known_format_is_refused(name, reason) -> None:
    with pytest.raises(RunError, match=reason):
        predict_files.find(Path(name))


def test_too_many_columns_are_refused(tmp_path) -> None:
    part = {"source": ["a"], "outputs": np.zeros([1, 200, 200])}
    with pytest.raises(RunError, match=r"40000 columns; write \.npz or \.parquet"):
        predict_files.find(tmp_path / "x.csv")(tmp_path / "x.csv", iter([part]))
    assert not list(tmp_path.iterdir())
