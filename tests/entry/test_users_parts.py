"""Parts as users write them, through whole runs: names of numbers, exports, dry runs."""

import json
import pathlib

import pytest

from tests.processes import summary, trainer

DATA = """
import keras
from tests.parts.cases import data as arrays
from tests.parts.users import linear, two_inputs_functional
from trainer import OptimizerConfig, PartConfig, TrainConfig
from trainer.config import DatasetConfig, PlateauConfig

def data():
    train = arrays()
    return {"train": train, "test": {name: values[:13] for name, values in train.items()}}

def narrow(input_shape, num_outputs):
    return keras.Sequential([keras.Input(input_shape), keras.layers.Dense(num_outputs - 1)])

def stacked(input_shape, num_outputs):
    return keras.Sequential([keras.layers.Dense(num_outputs)])

def get_config():
    return TrainConfig(train_steps=4, global_batch_size=8, virtual_replicas=4,
        eval_every_steps=1, dataset=DatasetConfig(f"{__name__}:data"), CONFIG)
"""
VECTOR = """
        task=PartConfig("supervised", {"input": "x", "label": "one_hot"}),
        model=PartConfig("tests.parts.users:linear", {"activation": "softmax"}),
        loss=PartConfig("keras.losses:CategoricalCrossentropy"),
        metrics=(PartConfig("keras.metrics:F1Score", {"name": "f1"}),),
        plateau=PlateauConfig(metric="f1/1", mode="max", patience=1),
        keep_best_metric="f1/0", optimizer=OptimizerConfig("sgd", 0.5)"""
TWO = """
        task=PartConfig("supervised", {"input": {"x": "x", "age": "age"}, "label": "y"}),
        model=PartConfig("tests.parts.users:two_inputs_functional")"""
STACKED = """
        task=PartConfig("supervised", {"input": "x", "label": "y"}),
        model=PartConfig(f"{__name__}:stacked")"""

NARROW = STACKED.replace("stacked", "narrow")


def written(folder: pathlib.Path, config: str) -> str:
    path = folder / "mine.py"
    path.write_text(DATA.replace("CONFIG", config))
    return f"--config={path}"


def test_a_vector_is_logged_by_class_and_can_be_watched(tmp_path: pathlib.Path) -> None:
    mine = written(tmp_path, VECTOR)
    ended = summary(tmp_path / "run", mine)
    names = {f"f1/{index}" for index in range(3)}
    assert names <= set(ended["eval"])
    assert names <= set(ended["train"])
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert any("eval/f1/2" in json.loads(line) for line in lines)
    assert "f1/2" in (tmp_path / "run" / "report.html").read_text()
    refused = trainer(mine, f"--workdir={tmp_path / 'other'}", "--config.keep_best_metric=f1")
    assert refused.code == 78
    assert "config.keep_best_metric='f1' is not evaluated; allowed: loss, f1/0" in refused.last_line


def test_an_export_names_every_input_and_output(tmp_path: pathlib.Path) -> None:
    mine = written(tmp_path, TWO)
    summary(tmp_path / "run", mine)
    done = trainer("export", str(tmp_path / "run"), mine, f"--to={tmp_path / 'model'}")
    assert done.code == 0, done.stderr
    card = json.loads((tmp_path / "model" / "export.json").read_text())
    assert [(x["name"], x["shape"]) for x in card["inputs"]] == [("x", [4]), ("age", [1])]
    assert [x["shape"] for x in card["outputs"]] == [[3]]


def test_a_label_that_no_output_stands_for_is_named(tmp_path: pathlib.Path) -> None:
    ended = trainer(written(tmp_path, NARROW), f"--workdir={tmp_path / 'run'}")
    assert ended.code == 78, ended.stderr
    assert ended.stderr.strip().count("\n") < 9
    assert "a label or an id in the data is 4, and " in ended.last_line
    assert "selects from has 0 to 3 (" in ended.last_line


@pytest.mark.parametrize("config", [STACKED, TWO])
def test_a_dry_run_shows_models_of_any_kind(tmp_path: pathlib.Path, config: str) -> None:
    done = trainer(written(tmp_path, config), "--dry_run")
    assert done.code == 0, done.stderr
    assert "parameters" in done.stdout
