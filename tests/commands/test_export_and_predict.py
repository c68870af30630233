"""What leaves the trainer computes what the trainer computed."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tests.processes import ROOT, trainer


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Return the folder of a run with its export, and what was measured."""
    folder = tmp_path_factory.mktemp("export")
    command = [sys.executable, "-m", "tests.commands.exported_outputs", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout.splitlines()[-1])


def test_outputs_are_those_of_training_to_the_bit(exported) -> None:
    _, measured = exported
    assert measured["differences"] == {"predict": 0.0, "keras": 0.0, "saved_model": 0.0}


def test_what_predicts_is_what_was_evaluated_the_average(exported) -> None:
    _, measured = exported
    predicted, reported = measured["loss"]
    assert predicted == pytest.approx(reported, rel=1e-5)


def test_predict_names_every_image_of_a_folder(exported, tmp_path: pathlib.Path) -> None:
    folder, _ = exported
    images = tmp_path / "images"
    images.mkdir()
    for name in ("b.png", "a.png"):
        Image.fromarray(np.full([8, 8], 128, np.uint8)).save(images / name)
    ended = trainer("predict", str(folder / "run"), str(images))
    assert ended.code == 0, ended.stderr
    first, second = map(json.loads, ended.stdout.splitlines())
    assert [first["source"], second["source"]] == [str(images / "a.png"), str(images / "b.png")]
    assert first["outputs"] == second["outputs"]
    assert first["largest"] == int(np.argmax(first["outputs"]))


def test_predict_refuses_a_place_that_cannot_be_written(exported) -> None:
    shard = ROOT / "trainer/data/embedded/digits/1.0.0/digits-test.tfrecord-00000-of-00001"
    run = exported[0] / "run"
    ended = trainer("predict", str(run), str(shard), f"--to={run / 'config.json' / 'x.jsonl'}")
    assert ended.code == 78
    assert "choose another place with --to" in ended.last_line
    assert "Traceback" not in ended.stderr


def test_predict_refuses_a_model_that_reads_no_examples(tmp_path: pathlib.Path) -> None:
    length = ["--config.train_steps=1", "--config.dataset.eval_split="]
    ended = trainer("--config=digits_gan", f"--workdir={tmp_path / 'run'}", *length)
    assert ended.code == 0, ended.stderr
    shard = ROOT / "trainer/data/embedded/digits/1.0.0/digits-test.tfrecord-00000-of-00001"
    ended = trainer("predict", str(tmp_path / "run"), str(shard))
    assert ended.code == 64
    assert "Gan.predict_step, given image, label: ValueError: Input" in ended.last_line
    assert "write predict_step(self, microbatch) in the task" in ended.last_line


def test_a_folder_without_a_run_is_refused(tmp_path: pathlib.Path) -> None:
    ended = trainer("export", str(tmp_path), f"--to={tmp_path}")
    assert ended.code == 64
    assert "config.json is missing" in ended.last_line
