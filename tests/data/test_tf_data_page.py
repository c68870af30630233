"""The experiment of docs/tf_data.md, as it stands there: one digest however it is placed."""

import pytest

from tests.docs import pages
from tests.processes import ROOT, summary

(TUTORIAL,) = pages.blocks(ROOT / "docs" / "tf_data.md", "python")


def train(tmp_path, run, *args, workers=1):
    (tmp_path / "tutorial.py").write_text(TUTORIAL)
    flags = [f"--config={tmp_path / 'tutorial.py'}", f"--stage_dir={tmp_path / 'stage'}"]
    told = summary(tmp_path / run, *flags, *args, workers=workers)
    assert told["eval"]["accuracy"] > 0.7
    return told["state_digest"]


def test_the_pipeline_of_a_tutorial_trains_as_it_is(tmp_path):
    first = train(tmp_path, "first")
    stream = "--config.dataset.serve=stream"
    assert train(tmp_path, "replicas", "--cpu_replicas=2", stream) == first


@pytest.mark.slow
def test_two_workers_train_it_to_the_same_digest(tmp_path):
    two = train(tmp_path, "two", workers=2)
    assert two == train(tmp_path, "one")
