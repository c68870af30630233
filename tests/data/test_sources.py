"""The table of sources: which name selects which, and what a new one takes."""

import subprocess
import sys

import numpy as np
import pytest

from common.exit_codes import ExitCode, RunError
from tests.data.shards import FEATURES, write_shards
from tests.data.test_serve import pipeline_of, served
from tests.processes import ROOT
from trainer.config import DatasetConfig
from trainer.data import sources
from trainer.data.info import Feature, Shard
from trainer.data.sources import custom, splits, tfds, tfrecord_pattern


@pytest.mark.parametrize(
    ("name", "source", "is_custom"),
    [
        ("digits", tfds, False),
        ("tfds:mnist", tfds, False),
        ("tfds:gs://bucket/tfds/mnist", tfds, False),
        ("tfds:/data/mnist/3.0.1", tfds, False),
        ("gs://bucket/{split}-*.tfrecord", tfrecord_pattern, False),
        ("/data/train.tfrecord", tfrecord_pattern, False),
        ("train-*", tfrecord_pattern, False),
        ("package.module:build", custom, True),
        ("os:mkdir", custom, True),
    ],
)
def test_a_name_selects_its_source(name, source, is_custom):
    form = sources.find(name)
    assert form.source is source
    assert form.is_custom is is_custom


@pytest.mark.parametrize("name", ["digit", "tfds:", "", ":build", "module:"])
def test_a_name_of_no_form_is_refused_with_all_forms(name):
    with pytest.raises(RunError) as caught:
        sources.find(name)
    assert caught.value.code is ExitCode.BAD_CONFIG
    assert all(form.text in caught.value.reason for form in sources.FORMS)


class Pixels:
    """A new source, as a module would be: the pixels of example i are all i."""

    stored = {"image": Feature((4, 4, 1), "uint8"), "label": Feature((), "int64", num_classes=5)}  # noqa: RUF012
    example_bytes = 24

    @staticmethod
    def describe(config, _):
        return splits.choose(config, "pixels", Pixels.stored, {"train": (Shard("pixels", 25),)})

    @staticmethod
    def open(_):
        return Pixels()

    def read(self, asked):
        ids = asked.ids
        images = np.broadcast_to(ids[:, None, None, None], (len(ids), 4, 4, 1)).astype(np.uint8)
        return [images, ids % 5]

    def decode(self, stored, _):
        return stored.map(lambda image, label: {"image": image, "label": label})

    def check(self, asked):
        pass

    def close(self):
        pass


@pytest.mark.parametrize("window", [0, 4])
def test_a_new_source_is_a_file_and_a_line_and_is_served_both_ways(monkeypatch, window):
    line = sources.Form("pixels", "pixels", Pixels)
    monkeypatch.setattr(sources, "FORMS", (line, *sources.FORMS))
    streamed, resident = (
        served(
            pipeline_of(DatasetConfig("pixels", eval_split="", serve=mode, shuffle_window=window)),
            [(0, 5), (5, 4)],
        )
        for mode in ("stream", "resident")
    )
    assert np.array_equal(streamed, resident)
    assert sorted(streamed[:25]) == list(range(25))


def test_records_are_counted_before_tensorflow_is_imported(tmp_path):
    config = {"name": write_shards(tmp_path / "data", [2, 3]), "args": {"features": FEATURES}}
    code = (
        "import sys; from trainer.config import DatasetConfig; from trainer.data import sources; "
        f"print(sources.describe(DatasetConfig(eval_split='', **{config})).train.num_examples); "
        "sys.exit('tensorflow' in sys.modules)"
    )
    ended = subprocess.check_output([sys.executable, "-c", code], text=True, cwd=ROOT)
    assert ended.split() == ["5"]
