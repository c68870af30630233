"""`from trainer import TrainConfig, train`, as a notebook would."""

import json
import pathlib
import subprocess
import sys

import pytest

from tests.processes import ROOT, summary
from trainer import DatasetConfig, RunError, TrainConfig, train
from trainer.run import workdir_lock

NOTEBOOK = """
import gc, json, os, signal, sys, threading
sys.argv = ["ipykernel_launcher", "-f", "kernel.json", "--seed=7"]  # not ours to read
os.environ["TF_CONFIG"] = "that of another program"

def outside():
    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    garbage = gc.isenabled(), gc.get_freeze_count()
    return handlers, os.getcwd(), threading.active_count(), sys.argv[:], garbage

before = outside()
from trainer import OptimizerConfig, RunError, TrainConfig, train
config = TrainConfig(train_steps=3, global_batch_size=8, virtual_replicas=4)
other = TrainConfig(train_steps=2, global_batch_size=16, optimizer=OptimizerConfig("sgd"))
ends = [train(config, "one").summary, train(other, "other").summary]
gc.disable()
ends.append(train(config, "two", cpu_replicas=4).summary)
assert not gc.isenabled()
gc.enable()
try:
    train(config)
except RunError as error:
    reason = error.reason
assert outside() == before, (outside(), before)
from trainer import open_run
opened = open_run("one")
assert opened.summary["state_digest"] == ends[0]["state_digest"]
assert opened.checkpoints() == [3]
lines = opened.metrics()
last = lines[-1] if isinstance(lines, list) else lines.iloc[-1]
assert last["eval/loss"] == ends[0]["eval"]["loss"]
assert opened.model().count_params() == opened.task("3").models["main"].count_params() > 0
from absl import flags
print(json.dumps([[end["state_digest"] for end in ends], flags.FLAGS.is_parsed(), reason]))
"""
SAME = """
from trainer import TrainConfig
def get_config():
    return TrainConfig(train_steps=3, global_batch_size=8, virtual_replicas=4)
"""


def python(code: str, folder: pathlib.Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{code}"],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_import_trainer_is_free_of_tensorflow(tmp_path: pathlib.Path) -> None:
    code = "import sys, trainer; trainer.TrainConfig, trainer.train; print('keras' in sys.modules)"
    ended = python(code, tmp_path)
    assert (ended.returncode, ended.stdout) == (0, "False\n"), ended.stderr


def test_runs_in_one_process_are_those_of_the_command(tmp_path: pathlib.Path) -> None:
    ended = python(NOTEBOOK, tmp_path)
    assert ended.returncode == 0, ended.stderr
    (one, other, two), are_flags_read, reason = json.loads(ended.stdout.splitlines()[-1])
    assert one == two != other
    assert not are_flags_read
    assert "train(workdir=...) is missing" in reason
    (tmp_path / "same.py").write_text(SAME)
    command = summary(tmp_path / "command", f"--config={tmp_path / 'same.py'}", "--cpu_replicas=2")
    assert command["state_digest"] == one


@pytest.mark.parametrize(
    ("config", "options", "says"),
    [
        (
            TrainConfig(epochs=1, dataset=DatasetConfig("tfds:https://me:canary@host/x")),
            {},
            "config.dataset.name carries a password",
        ),
        (TrainConfig(epochs=1), {"workdir": "gs://me:canary@host/x"}, "workdir carries a password"),
        (
            TrainConfig(epochs=1),
            {"strategy": "mirrored", "cpu_replicas": 2},
            "--cpu_replicas=2 contradicts --strategy=mirrored",
        ),
        (TrainConfig(epochs=1), {"strategy": "cpu", "tpu": "local"}, "contradicts --strategy=cpu"),
        (
            TrainConfig(epochs=1),
            {"strategy": "gpu"},
            "'gpu') is not one of auto, cpu, mirrored, tpu",
        ),
        (TrainConfig(epochs=1, metrics=("acuracy",)), {}, "did you mean 'accuracy'"),
        (TrainConfig(epochs=1, metrics="accuracy"), {}, "config.metrics='accuracy' must be a list"),
    ],
)
def test_a_config_is_checked_as_that_of_the_command(config, options, says, tmp_path) -> None:
    with pytest.raises(RunError) as caught:
        train(config, **{"workdir": str(tmp_path / "run"), **options})
    assert says in caught.value.reason
    assert "canary" not in caught.value.reason
    assert not (tmp_path / "run").exists()


def test_a_workdir_in_which_a_run_is_at_work_is_refused_untouched(tmp_path: pathlib.Path) -> None:
    config = TrainConfig(train_steps=1, global_batch_size=8, virtual_replicas=4)
    with workdir_lock.held(str(tmp_path / "run"), environment={"LOCKSTEP_JOB": "team/first"}):
        with pytest.raises(RunError, match="is in use by the run of job team/first/0") as refused:
            train(config, str(tmp_path / "run"))
        assert refused.value.code == 78
        assert [path.name for path in (tmp_path / "run").iterdir()] == ["lock"]
    assert train(config, str(tmp_path / "run")).summary["step"] == 1
