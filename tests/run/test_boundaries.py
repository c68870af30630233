import dataclasses

from trainer.config import TrainConfig
from trainer.plan import Plan
from trainer.run import boundaries

PLAN = Plan(100, 1000, 32, 4, 10)
CONFIG = TrainConfig(
    train_steps=100, log_every_steps=7, eval_every_steps=20, checkpoint_every_steps=9
)


def _boundaries(most: int) -> list[int]:
    steps, step = [], 0
    while step < PLAN.total_steps:
        step = boundaries.next_boundary(CONFIG, PLAN, step, most)
        steps.append(step)
    return steps


def test_no_due_step_is_passed_over() -> None:
    due = {s for s in range(1, 101) if s % 7 == 0 or s % 20 == 0 or s % 9 == 0}
    due |= {100} | {s for s in range(1, 101) if boundaries.ends_epoch(PLAN, s)}
    for most in (1, 3, 256):
        assert due <= set(_boundaries(most))
    assert set(_boundaries(256)) == due


def test_last_step_is_logged_and_evaluated() -> None:
    assert boundaries.log_is_due(CONFIG, PLAN, 100)
    assert boundaries.evaluation_is_due(CONFIG, PLAN, 100)
    assert not boundaries.log_is_due(CONFIG, PLAN, 0)
    assert not boundaries.evaluation_is_due(CONFIG, PLAN, 0)
    assert boundaries.evaluation_is_due(
        dataclasses.replace(CONFIG, eval_before_training=True), PLAN, 0
    )


def test_calls_are_short_in_time() -> None:
    assert boundaries.steps_per_call(None, 256) == 1
    assert boundaries.steps_per_call(0.0, 256) == 16
    assert boundaries.steps_per_call(0.5, 256) == 4
    assert boundaries.steps_per_call(60.0, 256) == 1
    assert boundaries.steps_per_call(1e-4, 256) == 256
