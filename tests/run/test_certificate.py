"""The digest of a config: of what is computed, and of nothing else."""

import dataclasses

import pytest

from trainer.config import OptimizerConfig, PartConfig, PlateauConfig, TrainConfig
from trainer.config.conversion import to_plain
from trainer.run.certificate import config_digest

BASE = TrainConfig(train_steps=10)


def digest(config: TrainConfig) -> str:
    return config_digest(to_plain(config))


@pytest.mark.parametrize(
    "fields",
    [{"log_every_steps": 7}, {"digest_every_steps": 0}, {"keep_checkpoints": 9},
     {"optimizer_state": "sharded"},
     {"eval_every_steps": 3}, {"seed": 0}],
    ids=str,
)  # fmt: skip
def test_how_a_run_is_watched_is_no_part_of_it(fields) -> None:
    assert digest(dataclasses.replace(BASE, **fields)) == digest(BASE)


@pytest.mark.parametrize(
    "fields",
    [{"seed": 1}, {"model": PartConfig("cnn", {"width": 2})},
     {"optimizer": OptimizerConfig("adam", 0.002)}, {"augment": (PartConfig("flip"),)}],
    ids=str,
)  # fmt: skip
def test_what_is_computed_is(fields) -> None:
    assert digest(dataclasses.replace(BASE, **fields)) != digest(BASE)


def test_an_evaluation_that_may_lower_the_rate_is_part_of_it() -> None:
    lowers = dataclasses.replace(BASE, plateau=PlateauConfig("loss"))
    often = dataclasses.replace(lowers, eval_every_steps=3)
    assert digest(often) != digest(lowers)
