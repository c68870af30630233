"""Every source but folders of images may lie in a bucket."""

import dataclasses

import numpy as np
import pytest

from tests.data import written
from trainer import storage
from trainer.data import sources
from trainer.data.records.files import Stage
from trainer.data.serving import reading

EXAMPLES = {
    "x": np.random.default_rng(0).normal(size=12),
    "label": np.arange(12) % 3,
}


@pytest.mark.parametrize("writer", written.WRITERS, ids=lambda writer: writer.__name__)
def test_a_bucket_gives_the_same_examples_and_fingerprint(tmp_path, writer):
    config = writer(tmp_path, EXAMPLES)
    url = f"memory://sources/{writer.__name__}/{tmp_path.name}"
    for path in tmp_path.iterdir():
        storage.upload(path, f"{url}/{path.name}")
    remote = dataclasses.replace(config, name=config.name.replace(str(tmp_path), url))
    stage = Stage(str(tmp_path / "stage"))
    here, there = sources.describe(config, stage), sources.describe(remote, stage)
    assert here.fingerprint() == there.fingerprint()
    for info in (here, there):
        found = reading.load(info, info.train, stage)
        assert all(np.array_equal(found[name], values) for name, values in EXAMPLES.items())
