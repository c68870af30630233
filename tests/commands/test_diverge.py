"""Where two runs part for the first time: found by what they recorded, then by replays."""

import dataclasses
from pathlib import Path

import pytest

from tests.commands.test_verify import write_experiment
from trainer import PartConfig, TrainConfig, train
from trainer.commands import diverge
from trainer.config import experiment_file


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> tuple[Path, TrainConfig]:
    folder = tmp_path_factory.mktemp("diverge")
    file = write_experiment(folder, "diverged_experiment")
    config = dataclasses.replace(
        experiment_file.load(str(file)), train_steps=12, eval_every_steps=0
    )
    train(config, str(folder / "base"))
    return file, config


def told(base: tuple[Path, TrainConfig], capsys, **fields) -> str:
    """What is said of the run and one with other fields."""
    file, config = base
    other = file.parent / "-".join(fields)
    train(dataclasses.replace(config, **fields), str(other))
    capsys.readouterr()
    diverge.main([str(file.parent / "base"), str(other), f"--config={file}"])
    return capsys.readouterr().out


def test_runs_of_one_config_are_equal(base, capsys) -> None:
    said = told(base, capsys, log_every_steps=2)
    assert "config: the same in all that is computed" in said
    assert "recorded: equal wherever both say something, up to step 12" in said


def test_another_rate_differs_in_the_update_alone(base, capsys) -> None:
    rate = dataclasses.replace(base[1].optimizer, learning_rate=0.02)
    said = told(base, capsys, optimizer=rate)
    assert "config: optimizer.learning_rate: 0.01 -> 0.02" in said
    assert "replayed here: equal at step 0, different at step 1" in said
    assert "kernel" in said.partition("replayed here")[2]
    assert "inside of step 1: all inputs, layers and gradients are equal: the update" in said


def test_another_layer_is_named_with_its_microbatch(base, capsys) -> None:
    said = told(base, capsys, model=PartConfig("mlp", {"hidden": [8], "dropout": 0.5}))
    assert "config: model.args.dropout: 0.2 -> 0.5" in said
    assert "inside of step 1: gradient 0, microbatch 0: layer" in said
    assert "dropout" in said.partition("inside of step 1")[2]


def test_other_examples_are_named(base, capsys) -> None:
    data = dataclasses.replace(base[1].dataset, shuffle_window=40)
    said = told(base, capsys, dataset=data)
    assert "inside of step 1: gradient 0, microbatch 0: feature image differs first" in said


def test_logs_are_compared_where_both_say_something() -> None:
    a = [{"step": 2, "x": 1.0}, {"step": 4, "x": 2.0}, {"step": 6, "x": 3.0}]
    b = [{"step": 2, "x": 1.0}, {"step": 3, "x": 7.0}, {"step": 6, "x": 3.5}]
    found = diverge.compared(a, b)
    assert (found.equal, found.step, found.what) == (2, 6, "x 3.0 and 3.5")
    assert diverge.compared(a, a[:2]).step is None
