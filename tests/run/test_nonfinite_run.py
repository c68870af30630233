import contextlib
import json
from types import SimpleNamespace

import numpy as np
import pytest

from common.exit_codes import RunError
from trainer.cluster.placement import Placement
from trainer.config import DatasetConfig, TrainConfig
from trainer.data.info import DatasetInfo, Shard, Split
from trainer.engine.step_sums import StepSums
from trainer.plan import Plan
from trainer.run.request import Request
from trainer.run.state import RunState
from trainer.run.steps import Streak, find_streak, reasons, refuse_idle, report, roll_back


@pytest.mark.parametrize(
    ("skipped", "before", "limit", "found"),
    [
        ([0, 0, 0], 0, 2, Streak(None, 0)),
        ([0, 1, 0], 0, 2, Streak(None, 0)),
        ([0, 0, 1], 0, 2, Streak(None, 1)),
        ([1, 0, 0], 1, 2, Streak(1, 2)),
        ([0, 1, 1, 1], 0, 2, Streak(3, 2)),
        ([1], 0, 0, Streak(1, 1)),
    ],
)
def test_runs_are_counted_over_calls(skipped, before, limit, found) -> None:
    assert find_streak(np.asarray(skipped, np.float32), before, limit) == found


def test_each_step_is_reported_with_its_reason() -> None:
    each = {"skipped": np.float32([0, 1, 1, 0]), "spike": np.float32([0, 0, 1, 0])}
    assert reasons(StepSums(4, each, {}), 10) == {
        11: "loss or gradient not finite",
        12: "loss spike",
    }
    del each["spike"]  # the guard is off
    assert set(reasons(StepSums(4, each, {}), 10).values()) == {"loss or gradient not finite"}


def test_the_named_examples_are_those_that_the_window_served(tmp_path, capsys) -> None:
    # A window of 4 is a step of 4, whatever the seed.
    split = Split("train", (Shard("shard", 12),), 0, 12)
    config = TrainConfig(train_steps=3, dataset=DatasetConfig(shuffle_window=4))
    plan = Plan(3, 12, 4, 4, 4)
    skipped = dict.fromkeys(range(3), "loss spike")
    info = DatasetInfo(DatasetConfig(), "source", {}, split, None)
    report(skipped, Request(config, info, plan, Placement()), tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "skipped.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [0, 1, 2]
    served = [sorted(line["examples"]) for line in lines]
    assert served == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    assert str(lines[1]["examples"])[1:-1] in capsys.readouterr().err


@pytest.mark.parametrize(
    ("step", "updated", "every", "is_refused"),
    [
        (6, 0, 500, True),  # the whole run
        (60, 50, 10, True),  # the last logging window
        (60, 51, 10, False),
        (60, 0, 60, True),
        (6, 6, 1, False),
    ],
)
def test_a_run_that_made_no_update_to_its_end_is_not_done(step, updated, every, is_refused):
    state = RunState(step=step, updated_step=updated)
    config = TrainConfig(train_steps=step, log_every_steps=every)
    refused = pytest.raises(RunError, match=f"after step {updated} of {step} was left out")
    with refused if is_refused else contextlib.nullcontext():
        refuse_idle(state, config)


def test_an_older_checkpoint_knows_its_last_update() -> None:
    plain = RunState(step=9, skipped_in_row=2).to_plain()
    del plain["updated_step"], plain["changes"]
    assert RunState.from_plain(plain).updated_step == 7


def test_what_was_noted_before_a_rollback_stays_noted() -> None:
    """The lines of those steps are not written again, so that a restart must not drop them."""
    before = RunState(step=18, logged_step=15, evaluated_step=16, digested_step=18)
    failed = RunState(step=21, logged_step=20, evaluated_step=16, digested_step=18)
    checkpoints = SimpleNamespace(
        saver=SimpleNamespace(wait=lambda: None),
        phases=SimpleNamespace(phase=lambda _: contextlib.nullcontext()),
        restore=lambda _session, _usable: before,
    )
    session = SimpleNamespace(
        request=SimpleNamespace(config=TrainConfig(train_steps=60, checkpoint_every_steps=6))
    )
    consensus = SimpleNamespace(wait_for_all=lambda: None)
    state = roll_back(session, failed, checkpoints, consensus)
    assert (state.step, state.noted_step) == (21, 20)
