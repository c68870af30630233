"""R11: what a checkpoint was made with has changed; nothing is trained, nothing is overwritten."""

import dataclasses
import hashlib
import json
import types
from pathlib import Path

import pytest

from common.exit_codes import ExitCode, RunError
from tests.checkpoint.checkpoints import state
from tests.data.shards import FEATURES, write_shards
from tests.processes import trainer
from trainer import checkpoint
from trainer.cluster.placement import Placement
from trainer.config import TrainConfig
from trainer.config.conversion import to_plain
from trainer.data import sources
from trainer.monitoring.goodput import Ledger
from trainer.monitoring.phases import Phases
from trainer.monitoring.watchdog import Watchdog
from trainer.plan import make_plan
from trainer.run.checkpoints import Checkpoints
from trainer.run.request import Request
from trainer.run.state import RunState
from trainer.run.workdir import Workdir

CONFIG = TrainConfig(train_steps=10, virtual_replicas=2)


@pytest.mark.parametrize(
    "change",
    [
        {"global_batch_size": 64},
        {"virtual_replicas": 4},
        {"execution": "xla_step"},
        {"precision": "bfloat16"},
        {"optimizer": dataclasses.replace(CONFIG.optimizer, learning_rate=0.5)},
        {"dataset": dataclasses.replace(CONFIG.dataset, holdout=40)},
        {"dataset": dataclasses.replace(CONFIG.dataset, shuffle_window=16)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_changed_config_is_refused_with_the_field(tmp_path: Path, change: dict) -> None:
    Workdir(tmp_path).claim(CONFIG, is_chief=True)
    with pytest.raises(RunError, match=next(iter(change))) as raised:
        Workdir(tmp_path).claim(dataclasses.replace(CONFIG, **change), is_chief=True)
    assert raised.value.code is ExitCode.BAD_CONFIG


class Live:
    """A model that must not be written to."""

    task = types.SimpleNamespace(state=lambda: state(1))

    def write_state(self, _):
        raise AssertionError


def test_changed_data_are_refused_before_the_state_is_written(tmp_path: Path) -> None:
    info = sources.describe(CONFIG.dataset)
    store = checkpoint.Store(tmp_path)
    meta = checkpoint.Meta(1, to_plain(CONFIG), info.fingerprint(), RunState(step=1).to_plain())
    store.save(state(1), meta, verified=True)

    def restore(config, info):
        request = Request(config, info, make_plan(config, info), Placement())
        phases = Phases(Watchdog(10, 10), Ledger())
        saver = checkpoint.Saver(store, phases.watchdog)
        return Checkpoints(request, saver, phases).restore(Live())

    for split in ("train", "evaluation"):
        fewer = dataclasses.replace(getattr(info, split), stop=getattr(info, split).stop - 1)
        with pytest.raises(RunError, match=r"config\.dataset") as raised:
            restore(CONFIG, dataclasses.replace(info, **{split: fewer}))
        assert raised.value.code is ExitCode.BAD_CONFIG
    # Also where config.json is lost, the checkpoint says what it was made with.
    with pytest.raises(RunError, match="global_batch_size: 32 -> 64") as raised:
        restore(dataclasses.replace(CONFIG, global_batch_size=64), info)
    assert raised.value.code is ExitCode.BAD_CONFIG
    with pytest.raises(AssertionError):  # config and data are those of the checkpoint
        restore(dataclasses.replace(CONFIG, log_every_steps=7), info)


EXPERIMENT = """
from trainer.config import DatasetConfig, PartConfig, TrainConfig

def get_config():
    return TrainConfig(
        train_steps=4, global_batch_size=8, virtual_replicas=2, model=PartConfig("mlp"),
        dataset=DatasetConfig({pattern!r}, args={{"features": {features}}}),
    )
"""


def _contents(folder: Path) -> dict[str, str]:
    """What matters of a workdir; where the time went is booked for a refused start as well."""
    kept = [p for p in folder.rglob("*") if p.is_file() and p.name != "goodput.json"]
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in kept}


@pytest.mark.slow
def test_a_run_on_a_changed_workdir_is_refused_and_untouched(tmp_path: Path) -> None:
    write_shards(tmp_path / "data", [20, 20])
    write_shards(tmp_path / "data", [12], "test")
    pattern = str(tmp_path / "data" / "{split}-*.tfrecord")
    config, workdir = tmp_path / "experiment.py", tmp_path / "run"
    config.write_text(EXPERIMENT.format(pattern=pattern, features=FEATURES))
    args = (f"--config={config}", f"--workdir={workdir}")
    assert trainer(*args).code == 0
    before = _contents(workdir)
    batch = trainer(*args, "--config.global_batch_size=16")
    assert (batch.code, "global_batch_size: 8 -> 16" in batch.last_line) == (78, True), batch.stderr
    write_shards(tmp_path / "data", [20, 19])
    data = trainer(*args)
    assert (data.code, "config.dataset" in data.last_line) == (78, True), data.stderr
    write_shards(tmp_path / "data", [20, 20])
    write_shards(tmp_path / "data", [11], "test")
    data = trainer(*args)
    assert (data.code, "config.dataset" in data.last_line) == (78, True), data.stderr
    assert _contents(workdir) == before
    # The same data again: the run ends as it did.
    digest = json.loads((workdir / "summary.json").read_text())["state_digest"]
    write_shards(tmp_path / "data", [12], "test")
    assert trainer(*args).code == 0
    assert json.loads((workdir / "summary.json").read_text())["state_digest"] == digest
