"""What follows from the numbers of an evaluation: the best step, the rate, and when neither."""

import dataclasses

import pytest

from trainer.config import PlateauConfig, StopConfig, TrainConfig
from trainer.run.evaluation import take_note
from trainer.run.state import RunState

NAN = float("nan")


def _evaluated(values: list[float], *, start: int = 1, **fields) -> RunState:
    """Note these losses after steps `start` and following."""
    config, state = TrainConfig(train_steps=10, **fields), RunState()
    for step, value in enumerate(values, start):
        state.step = step
        take_note(config, state, {"loss": value, "accuracy": 0.0})
        assert (state.evaluated_step, state.evaluation["loss"]) == (step, value)
    return state


@pytest.mark.parametrize(
    ("mode", "values", "best"),
    [
        ("min", [3.0, 1.0, 2.0], 2),
        ("max", [1.0, 3.0, 2.0], 2),
        ("min", [1.0, 2.0, 3.0], 1),
        ("max", [1.0, 2.0, 3.0], 3),
        ("min", [2.0, 1.0, 1.0], 2),  # of equals the first
        ("max", [-1.0, -1.0], 1),
        ("min", [NAN, 2.0, NAN], 2),
        ("max", [0.0, NAN, -1.0], 1),
    ],
)
def test_the_best_step_is_that_of_the_first_best_value(mode, values, best) -> None:
    state = _evaluated(values, keep_best_metric="loss", keep_best_mode=mode)
    assert (state.best_step, state.best) == (best, values[best - 1])


def test_the_first_weights_are_no_best_and_no_progress() -> None:
    fields = {"keep_best_metric": "loss", "plateau": PlateauConfig("loss", patience=1)}
    state = _evaluated([1.0], start=0, keep_best_mode="min", **fields)
    assert (state.best, state.best_step) == (None, 0)
    assert state.plateau.best is None


def test_without_a_metric_nothing_is_best() -> None:
    assert _evaluated([1.0, 2.0]).best is None


def test_a_plateau_lowers_the_rate_by_all_that_the_rule_says() -> None:
    rule = PlateauConfig("loss", "max", factor=0.5, patience=2, min_delta=0.1, min_scale=0.3)
    values = [1.0, 1.05, 1.05, 2.0, 2.0, 2.0]
    scales = [_evaluated(values[: n + 1], plateau=rule).plateau.scale for n in range(len(values))]
    assert scales == [1.0, 1.0, 0.5, 0.5, 0.5, 0.3]
    falling = dataclasses.replace(rule, mode="min")
    assert _evaluated([3.0, 2.0, 1.0], plateau=falling).plateau.scale == 1.0


@pytest.mark.parametrize(
    ("rule", "values", "ended"),
    [
        (StopConfig("loss", patience=2), [3.0, 2.0, 2.0, 2.0], 4),
        (StopConfig("loss", patience=2), [3.0, 2.0, 2.0, 1.0, 1.0], 0),
        (StopConfig("loss", "max", patience=1), [1.0, 2.0, 1.5], 3),
        (StopConfig("loss", patience=2, min_delta=0.5), [3.0, 2.7, 2.6], 3),
        (StopConfig("loss", patience=2, min_delta=0.1), [3.0, 2.7, 2.4], 0),
        (StopConfig("loss", patience=1, after=2), [1.0, 5.0, 4.0, 4.5], 4),
        (StopConfig("loss", patience=2), [NAN, NAN], 2),
        (StopConfig(patience=1), [1.0, 2.0], 0),
    ],
    ids=["worse", "better again", "max", "min_delta", "far better", "after", "nan", "off"],
)
def test_a_run_ends_by_all_that_the_rule_says(rule, values, ended) -> None:
    ends = [bool(_evaluated(values[: n + 1], stop=rule).ended) for n in range(len(values))]
    assert ends == [bool(ended) and n >= ended for n in range(1, len(values) + 1)]


def test_an_evaluation_that_is_due_only_at_the_end_ends_no_longer_run() -> None:
    state = _evaluated([2.0], stop=StopConfig("loss", "max", patience=1))
    state.before_end = state.to_plain()
    config = TrainConfig(train_steps=2, stop=StopConfig("loss", "max", patience=1))
    take_note(config, state, {"loss": 1.0, "accuracy": 0.0})
    assert state.ended == ""
    state.before_end = None
    take_note(config, state, {"loss": 1.0, "accuracy": 0.0})
    assert state.ended == "stop.metric"
