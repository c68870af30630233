"""One digest for the same examples, whatever source they come from and however they are served."""

import json

import numpy as np
import pytest

from tests.data import written
from tests.processes import summary

CONFIG = """
from trainer.config import DatasetConfig, PartConfig, TrainConfig

def get_config():
    return TrainConfig(
        train_steps=6, global_batch_size=8, virtual_replicas=2, log_every_steps=6,
        model=PartConfig("mlp", {"hidden": [8]}), dataset=DatasetConfig("unset", eval_split=""),
    )
"""
EXAMPLES = {
    "image": np.random.default_rng(0).integers(0, 256, (23, 6, 5, 1), dtype=np.uint8),
    "label": np.arange(23) // 8,
}
BUILD = """
import numpy

def build():
    return {{"train": dict(numpy.load({path!r}))}}
"""


def from_function(folder, examples):
    """Write a module, which stands beside the experiment."""
    np.savez(folder / "arrays.npz", **examples)
    (folder.parent / "brought.py").write_text(BUILD.format(path=str(folder / "arrays.npz")))
    return written.config_of("brought:build")


SOURCES = (from_function, written.npz, written.npy, *written.IMAGE_WRITERS)


@pytest.fixture
def digest(tmp_path):
    experiment = tmp_path / "experiment.py"
    experiment.write_text(CONFIG)

    def digest(writer, serve, workers=1):
        folder = tmp_path / writer.__name__
        if not folder.exists():
            folder.mkdir()
            writer(folder, EXAMPLES)
        config = writer(folder, EXAMPLES)
        args = [f"--config={experiment}", f"--config.dataset.name={config.name}"]
        args += [f"--config.dataset.args={json.dumps(config.args)}"]
        args += [f"--config.dataset.serve={serve}", f"--stage_dir={tmp_path / 'stage'}"]
        workdir = tmp_path / f"run-{writer.__name__}-{serve}-{workers}"
        return summary(workdir, *args, workers=workers)["state_digest"]

    return digest


def test_images_of_a_folder_a_parquet_file_and_an_array_train_alike(digest):
    expected = digest(written.npz, "resident")
    assert digest(written.image_folder, "stream") == expected
    assert digest(written.image_parquet, "stream") == expected


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_eight_sources_train_alike_resident_and_streamed_on_one_and_two_workers(digest):
    assert len(SOURCES) == 8
    found = {
        (writer.__name__, serve, workers): digest(writer, serve, workers)
        for writer in SOURCES
        for serve in ("resident", "stream")
        for workers in (1, 2)
    }
    assert len(set(found.values())) == 1, found
