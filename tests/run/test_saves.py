"""When a save is due by the clock; `checkpoint_every_secs=auto` works the interval out."""

import dataclasses
import itertools
import types

import pytest

from common.exit_codes import ExitCode, RunError
from trainer import checkpoint
from trainer.cluster.placement import Placement
from trainer.config import TrainConfig
from trainer.config.conversion import override, to_plain
from trainer.monitoring.goodput import Ledger
from trainer.monitoring.phases import Phases
from trainer.monitoring.watchdog import Watchdog
from trainer.plan import Plan
from trainer.run.checkpoints import LEAST_SECS, Checkpoints
from trainer.run.request import Request
from trainer.run.state import RunState


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Run:
    """A run whose saves take as long as they are told to."""

    costs = 0.0

    def __init__(self, clock: Clock, ledger: Ledger, every_secs: float | str) -> None:
        self.clock = clock
        self.save_secs = 0.0
        self.saved: list[float] = []
        self.kept: list[int] = []
        self.state = RunState(step=1)
        self.ledger = ledger
        self.session = types.SimpleNamespace(
            read_state=dict,
            write_state=lambda _: None,
            task=types.SimpleNamespace(state=dict),
            rate_scale=types.SimpleNamespace(assign=lambda _: None),
        )
        config = TrainConfig(
            train_steps=10**6, checkpoint_every_steps=0, checkpoint_every_secs=every_secs
        )
        info = types.SimpleNamespace(fingerprint=str, contents=dict)
        request = Request(config, info, Plan(10**6, 1000, 32, 4, 10), Placement())
        phases = Phases(Watchdog(10, 10), ledger)
        self.checkpoints = Checkpoints(request, self, phases, clock=clock)

    def change(self, **fields) -> None:
        """Change fields of the config."""
        request = self.checkpoints.request
        config = dataclasses.replace(request.config, **fields)
        self.checkpoints.request = dataclasses.replace(request, config=config)

    def save_if_due(self) -> None:
        by_time = self.checkpoints.time_has_come()
        self.checkpoints.save_if_due(self.session, self.state, by_time=by_time)

    def save_last(self) -> None:
        self.checkpoints.save_last(self.session, self.state)

    def raise_if_failed(self) -> None:
        """No save fails."""

    def start(self, *arguments) -> None:
        self.saved.append(self.clock.now)
        self.kept = arguments[-1]
        self.save_secs = self.costs

    finish = start

    def live_for(self, secs: int, costs: float) -> list[float]:
        """Make a step and come to a boundary every second; return the seconds between saves."""
        self.costs = costs
        started = self.clock.now
        for _ in range(secs):
            self.clock.now += 1
            self.state.step += 1
            self.save_if_due()
        times = [started, *self.saved]
        return [b - a for a, b in itertools.pairwise(times)]


def _process(clock: Clock, path, every_secs: float | str = "auto") -> Run:
    ledger = Ledger(clock)
    ledger.open(path)
    return Run(clock, ledger, every_secs)


def test_a_fixed_interval_is_kept(tmp_path) -> None:
    run = _process(Clock(), tmp_path / "goodput.json", every_secs=30)
    assert run.live_for(100, costs=5) == [30, 30, 30]


def test_without_an_interval_no_save_follows_the_clock(tmp_path) -> None:
    assert _process(Clock(), tmp_path / "goodput.json", every_secs=0).live_for(1000, 5) == []


def test_the_interval_follows_what_a_save_costs_and_how_often_processes_die(tmp_path) -> None:
    clock, path = Clock(), tmp_path / "goodput.json"
    cheap = _process(clock, path)
    # The first save comes early and shows what one costs; without a failure, intervals grow.
    gaps = cheap.live_for(4000, costs=0.5)
    assert gaps[0] == LEAST_SECS
    assert gaps[-1] > 2 * gaps[1]
    assert cheap.checkpoints.every_secs == pytest.approx((2 * 0.5 * 4000) ** 0.5)
    cheap.ledger.write()
    # Six processes that die after 100 s each: 4,600 s lived, 7 ends.
    for _ in range(6):
        died = _process(clock, path)
        died.live_for(100, costs=0.5)
        died.ledger.write()
    often = _process(clock, path)
    gaps = often.live_for(400, costs=0.5)
    assert often.checkpoints.every_secs == pytest.approx((2 * 0.5 * 5000 / 7) ** 0.5)
    assert set(gaps[1:]) <= {26, 27}
    # The same rate with saves a hundred times as dear: ten times the interval.
    often.save_secs = 50
    assert often.checkpoints.every_secs == pytest.approx((2 * 50 * 5000 / 7) ** 0.5)


def _regular(path, step: int) -> Run:
    run = _process(Clock(), path, every_secs=0)
    run.change(checkpoint_every_steps=10)
    run.state.step = step
    return run


def test_what_was_restored_is_not_written_over(tmp_path) -> None:
    run = _regular(tmp_path / "goodput.json", step=20)
    meta = checkpoint.Meta(20, to_plain(run.checkpoints.request.config), "", run.state.to_plain())
    run.store = checkpoint.Store(tmp_path / "checkpoints")
    run.store.save({}, meta, verified=True)
    run.state = run.checkpoints.restore(run.session)
    assert run.state.step == 20
    run.clock.now += 5
    run.save_if_due()
    run.save_last()
    assert run.saved == []
    run.state.evaluated_step = 20
    run.save_if_due()
    run.save_if_due()
    assert len(run.saved) == 1
    # What was saved in the background was not read back: the last save is made all the same.
    run.save_last()
    run.save_last()
    assert len(run.saved) == 2


def test_the_save_before_a_bad_stretch_is_kept_for_a_rollback(tmp_path) -> None:
    run = _regular(tmp_path / "goodput.json", step=30)
    run.state.skipped_in_row = 4
    run.save_if_due()
    assert run.kept == [30, 20]


def test_the_config_says_so(tmp_path) -> None:
    run = _process(Clock(), tmp_path / "goodput.json")
    assert run.checkpoints.every_secs == LEAST_SECS
    run.change(checkpoint_every_secs=7.0)
    assert run.checkpoints.every_secs == 7.0


def _asked(text: str) -> TrainConfig:
    return override(TrainConfig(train_steps=10), [("checkpoint_every_secs", text)])


@pytest.mark.parametrize(("text", "value"), [("auto", "auto"), ("30", 30.0), ("0", 0.0)])
def test_the_command_line_takes_auto_or_seconds(text: str, value: float | str) -> None:
    assert _asked(text).checkpoint_every_secs == value
    # As it is read back from config.json.
    assert to_plain(_asked(text))["checkpoint_every_secs"] == value


@pytest.mark.parametrize("text", ["-1", "autom", "", "null", "true", "Infinity", "NaN", "[1]"])
def test_anything_else_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(RunError, match=r"config\.checkpoint_every_secs=.* must be ") as raised:
        _asked(text)
    assert raised.value.code is ExitCode.BAD_CONFIG
    if text == "autom":
        assert "must be a number or auto; did you mean 'auto'?" in raised.value.reason
