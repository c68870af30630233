"""A run is made again and compared; whatever was changed since is found, with its step."""

import json
import shutil
from pathlib import Path

import pytest

from common.exit_codes import ExitCode, RunError
from tests.processes import summary, trainer
from trainer import checkpoint, train
from trainer.checkpoint import folder as one
from trainer.checkpoint.folder import name_of
from trainer.commands import verify
from trainer.config import experiment_file

STEPS = 24
EXPERIMENT = """
from pathlib import Path

import numpy as np

from trainer import DatasetConfig, OptimizerConfig, PartConfig, TrainConfig

SCALE = 1.0

def table():
    x = np.random.default_rng(0).normal(size=(128, 4)).astype(np.float32)
    x[100] += float((Path(__file__).parent / "shift.txt").read_text())
    return {"all": {"image": x, "label": (x.sum(1) > 0).astype(np.int64)}}

def scaled(labels, predictions):
    import keras
    return SCALE * keras.losses.sparse_categorical_crossentropy(
        labels, predictions, from_logits=True)

def get_config():
    return TrainConfig(
        train_steps=24, global_batch_size=8, virtual_replicas=4,
        dataset=DatasetConfig("MODULE:table", train_split="all[:120]", eval_split="all[120:]",
                              roles={"image": "input"}),
        model=PartConfig("mlp", {"hidden": [8], "dropout": 0.2}), loss=PartConfig("MODULE:scaled"),
        optimizer=OptimizerConfig("adam", 0.01), augment=(),
        log_every_steps=3, eval_every_steps=8, checkpoint_every_steps=6, digest_every_steps=4,
    )
"""
"""MODULE is the name of its file: modules of one process are told apart by it."""


def write_experiment(folder: Path, name: str) -> Path:
    (folder / "shift.txt").write_text("0")
    file = folder / f"{name}.py"
    file.write_text(EXPERIMENT.replace("MODULE", name))
    return file


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("verify")
    file = write_experiment(folder, "verified_experiment")
    train(experiment_file.load(str(file)), str(folder / "run"))
    return file, folder / "run"


@pytest.fixture
def run(trained: tuple[Path, Path], tmp_path: Path) -> tuple[Path, Path]:
    """An experiment and a copy of its run, to be changed."""
    file, workdir = trained
    copied = shutil.copytree(workdir, tmp_path / "run")
    return file, copied


def verified(run: tuple[Path, Path], *flags: str) -> None:
    verify.main([str(run[1]), f"--config={run[0]}", *flags])


def parts(run: tuple[Path, Path], *flags: str) -> str:
    with pytest.raises(RunError) as raised:
        verified(run, *flags)
    assert raised.value.code is ExitCode.PARTED
    return raised.value.reason


def edit(workdir: Path, step: int) -> None:
    """Change a weight of a checkpoint; size and checksum are then of what it holds."""
    state, meta = checkpoint.read(workdir / "checkpoints" / name_of(step))
    name = next(name for name in state if name.endswith("kernel"))
    state[name] = state[name].copy()
    state[name].flat[3] += 1e-6
    one.write(workdir / "checkpoints", state, meta)


def test_a_run_comes_out_the_same_again(run, capsys) -> None:
    verified(run)
    assert "verified: steps 18 to 24" in capsys.readouterr().out


def test_from_the_beginning_and_in_stretches(run, capsys) -> None:
    verified(run, "--steps=0:18")
    assert "verified: steps 0 to 18" in capsys.readouterr().out


def test_a_number_that_was_changed_is_found_with_its_step(run) -> None:
    lines = (run[1] / "metrics.jsonl").read_text().splitlines()
    changed = [json.loads(line) for line in lines]
    for line in changed:
        if line["step"] == 21 and "train/loss" in line:
            line["train/loss"] += 1e-9
    (run[1] / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in changed))
    assert "parts at step 21: train/loss" in parts(run)


def test_an_edited_checkpoint_is_found_where_it_is_reached(run) -> None:
    edit(run[1], 18)
    reason = parts(run, "--steps=12:24")
    assert "parts at step 18: the checkpoint holds another main/" in reason
    assert "/kernel" in reason
    assert "code, data and kernels are the same here" in reason


def test_an_edited_checkpoint_is_found_by_the_digest_of_its_step(run) -> None:
    edit(run[1], 18)
    assert "parts at step 18: its checkpoint holds another main/" in parts(run)


def test_an_edited_end_is_not_what_the_summary_says(run) -> None:
    edit(run[1], STEPS)
    assert f"parts at step {STEPS}: the checkpoint is not what summary.json" in parts(run)


def test_an_edited_config_is_not_what_the_summary_says(run) -> None:
    config = json.loads((run[1] / "config.json").read_text())
    config["optimizer"]["learning_rate"] *= 2
    (run[1] / "config.json").write_text(json.dumps(config))
    assert "config.json is not what summary.json says" in parts(run)


def test_changed_data_are_named_and_part_at_the_first_number_they_move(run) -> None:
    shift = run[0].parent / "shift.txt"
    shift.write_text("0.5")
    try:
        reason = parts(run, "--steps=0:24")
    finally:
        shift.write_text("0")
    assert "not the same here: data" in reason
    assert "replayed from step 0" in reason


def test_what_cannot_be_replayed_is_one_line(tmp_path: Path) -> None:
    for asked, saved, what in (
        ("7", [6, 12], "write FIRST:LAST"),
        ("", [], "holds no checkpoint"),
        ("12:6", [6, 12], "nothing to compare from step 12 to 6"),
        ("6:18", [6, 12], "recorded steps up to 12"),
    ):
        with pytest.raises(RunError, match=what) as raised:
            verify.stretches(asked, saved, 12, "RUN")
        assert raised.value.code is ExitCode.BAD_FLAG


@pytest.mark.parametrize("text", ["x\n", "90\t0\t5\n", None])
def test_what_is_no_example_log_of_the_steps_is_one_line(text: str | None, tmp_path: Path) -> None:
    log = tmp_path / "examples"
    if text is not None:
        log.write_text(text)
    with pytest.raises(RunError, match="--log_examples=") as raised:
        list(verify._examples(log, log, 0, 12))
    assert raised.value.code is ExitCode.BAD_FLAG


def test_other_examples_are_found_with_their_step(tmp_path: Path) -> None:
    for name, example in (("old", 7), ("new", 8)):
        (tmp_path / name).write_text(f"4\t0\t5\n5\t0\t{example}\n")
    found = list(verify._examples(tmp_path / "old", tmp_path / "new", 0, 12))
    assert [(one.step, one.what) for one in found] == [(6, "other examples were served")]


def test_replicas_are_counted_from_zero() -> None:
    with pytest.raises(RunError, match="--cpu_replicas") as raised:
        verify.main(["RUN", "--cpu_replicas=-1"])
    assert raised.value.code is ExitCode.BAD_FLAG


def test_stretches_begin_at_checkpoints() -> None:
    assert verify.stretches("", [6, 12, 18], 18, "RUN") == [12, 18]
    assert verify.stretches("", [6], 6, "RUN") == [0, 6]
    assert verify.stretches("8:", [6, 12, 18], 18, "RUN") == [6, 12, 18]
    assert verify.stretches("0:15", [6, 12, 18], 18, "RUN") == [0, 6, 12, 15]


@pytest.mark.parametrize("text", ["{", "[1]", '{"unknown": 1}', '{"optimizer": 3}'])
def test_a_damaged_config_is_one_line(text: str, tmp_path: Path) -> None:
    from trainer.commands.restored import read_config
    from trainer.run.workdir import Workdir

    (tmp_path / "config.json").write_text(text)
    with pytest.raises(RunError, match=r"config\.json") as raised:
        read_config(Workdir(tmp_path))
    assert raised.value.code is ExitCode.BAD_DATA


@pytest.mark.slow
def test_changed_code_is_named_and_parts_at_the_first_number_it_moves(tmp_path: Path) -> None:
    file = write_experiment(tmp_path, "changed_experiment")
    flags = (f"--config={file}", "--config.checkpoint_every_steps=8")
    assert trainer(*flags, f"--workdir={tmp_path / 'run'}").code == 0
    file.write_text(file.read_text().replace("SCALE = 1.0", "SCALE = 1.001"))
    ended = trainer("verify", str(tmp_path / "run"), f"--config={file}", "--steps=0:")
    assert ended.code == 66, ended.stderr
    assert "parts at step 3: train/" in ended.last_line
    assert "not the same here: code of changed_experiment.py" in ended.last_line


@pytest.mark.slow
def test_a_run_that_moved_is_verified_anywhere(tmp_path: Path) -> None:
    short = ("--config=tests/chaos/tiny.py", "--config.keep_checkpoints=9")
    log = tmp_path / "examples"
    moved = (*short, f"--log_examples={log}")
    for replicas in (1, 2, 4):
        stop = {"LOCKSTEP_FAILPOINT": "loop.boundary:term@6"}
        ended = trainer(
            *moved, f"--workdir={tmp_path / 'run'}", f"--cpu_replicas={replicas}", environment=stop
        )
        assert ended.code == 143, ended.stderr
    summary(tmp_path / "run", *moved, workers=2)
    for replicas in (1, 2):
        ended = trainer(
            "verify", str(tmp_path / "run"), "--steps=0:", f"--log_examples={log}",
            f"--cpu_replicas={replicas}",
        )  # fmt: skip
        assert ended.code == 0, ended.stderr
        assert "verified: steps 0 to 60" in ended.stdout
