"""Parts that a notebook or a script defines: named, recorded, trained, trained on, exported."""

import json
import os
import subprocess
import sys

import pytest

from common.exit_codes import RunError
from tests.processes import ROOT, trainer
from trainer import DatasetConfig, OptimizerConfig, PartConfig
from trainer.models.cnn import cnn

PAGE = ROOT / "docs/guide/notebook.md"
MORE = """
import json
from trainer import RunError

def refused(config, workdir, **flags):
    try:
        train(config, workdir, **flags)
    except RunError as error:
        return error.reason

longer = dataclasses.replace(config, train_steps=60)
kept = build_model

def build_model(input_shape, num_outputs, units=32):
    return kept(input_shape, num_outputs, units)

print(json.dumps({
    "code": list(run.summary["code"]["files"]),
    "steps": [run.summary["step"], tuned.summary["step"]],
    "parent": tuned.summary["parent"]["step"],
    "model": config.model.name,
    "rows": [len(classes), len(new["outputs"])],
    "files": card["files"],
    "changed": refused(longer, "runs/notebook"),
    "replicas": refused(
        dataclasses.replace(config, virtual_replicas=8), "runs/eight", cpu_replicas=8
    ),
}))
"""
SCRIPT = """
import keras
from trainer import OptimizerConfig, PartConfig, TrainConfig, train

class Rate(keras.optimizers.SGD):
    pass

def build_model(input_shape, num_outputs):
    inputs = keras.Input(input_shape)
    return keras.Model(inputs, keras.layers.Dense(num_outputs)(keras.layers.Flatten()(inputs)))

if __name__ == "__main__":
    config = TrainConfig(
        train_steps=1, model=PartConfig(build_model), optimizer=OptimizerConfig(Rate)
    )
    print(train(config, "run").summary["code"]["files"])
"""


def python(folder, *args):
    """Run Python in a folder from which this checkout can be imported."""
    done = subprocess.run(
        [sys.executable, *args],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "2"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    cells = f"from tests.run.cells import main; main({str(PAGE)!r}, {MORE!r})"
    return json.loads(python(tmp_path_factory.mktemp("notebook"), "-c", cells))


def test_the_cells_of_the_page_train_look_change_train_on_and_export(notebook) -> None:
    assert notebook["steps"] == [40, 20]
    assert notebook["parent"] == 40
    assert notebook["rows"] == [296, 20]
    assert notebook["files"] == ["saved_model", "model.keras"]


def test_a_part_of_a_notebook_is_named_and_its_source_is_recorded(notebook) -> None:
    assert notebook["model"] == "__main__:build_model"
    assert "__main__:build_model" in notebook["code"]
    assert "__main__:build_model" in notebook["changed"]


def test_more_replicas_than_the_cpu_was_split_into_are_refused(notebook) -> None:
    assert "make the run with the most replicas first" in notebook["replicas"]


def test_a_script_exports_what_it_trained(tmp_path) -> None:
    (tmp_path / "mine.py").write_text(SCRIPT)
    assert "mine.py" in python(tmp_path, "mine.py")
    config = json.loads((tmp_path / "run/config.json").read_text())
    assert config["model"]["name"] == "mine:build_model"
    assert config["optimizer"]["name"] == "mine:Rate"
    flags = (f"--to={tmp_path / 'model'}", f"--config={tmp_path / 'mine.py'}")
    ended = trainer("export", str(tmp_path / "run"), *flags)
    assert ended.code == 0, ended.stderr
    assert (tmp_path / "model/model.keras").is_file()
    stranger = trainer("export", str(tmp_path / "run"), flags[0])
    assert stranger.code == 64
    assert "mine:build_model" in stranger.last_line


def top(size: int) -> None:
    """Return nothing."""


def test_functions_and_classes_are_named_by_their_module() -> None:
    here = __name__
    assert PartConfig(top).name == f"{here}:top"
    assert PartConfig(cnn).name == "trainer.models.cnn:cnn"
    assert DatasetConfig(top).name == f"{here}:top"
    assert OptimizerConfig(top).name == f"{here}:top"
    assert PartConfig("mlp").name == "mlp"


@pytest.mark.parametrize("part", [lambda: None, type("Here", (), {}), print.__call__])
def test_what_no_name_finds_again_is_refused(part) -> None:
    with pytest.raises(RunError, match="cannot be found again by its name"):
        PartConfig(part)
