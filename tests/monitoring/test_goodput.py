"""R21: the buckets add up, redone steps are not productive, and the figure at scale."""

import random
from pathlib import Path

import pytest

from trainer.monitoring.goodput import Attempt, Ledger, summarize, young_interval


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_innermost_bucket_gets_the_time() -> None:
    clock = Clock()
    ledger = Ledger(clock, started=990.0)
    ledger.begin(0)
    with ledger.spend("evaluate"):
        clock.now += 3
        with ledger.spend("peers"):
            clock.now += 2
        clock.now += 1
    seconds = ledger.report()["seconds"]
    assert (seconds["start"], seconds["evaluate"], seconds["peers"]) == (10, 4, 2)


def _live(path: Path, clock: Clock, first: int, last: int) -> Ledger:
    ledger = Ledger(clock)
    ledger.open(path)
    clock.now += 5
    ledger.begin(first)
    with ledger.spend("step"):
        clock.now += last - first
    ledger.step = last
    ledger.write()
    return ledger


def test_buckets_add_up_over_restarts(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "goodput.json"
    _live(path, clock, 0, 50)
    clock.now += 7
    _live(path, clock, 40, 60)  # ten steps were lost
    clock.now += 3
    report = _live(path, clock, 60, 100).report()
    seconds = report["seconds"]
    assert sum(seconds.values()) == pytest.approx(report["total_seconds"], rel=1e-3)
    assert seconds["step"] == pytest.approx(100)
    assert seconds["redone"] == pytest.approx(10)
    assert (seconds["down"], seconds["start"]) == (10, 15)
    assert report["attempts"] == 3


def test_between_the_end_and_a_longer_run_no_time_is_lost(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "goodput.json"
    ended = _live(path, clock, 0, 50)
    ended.end()
    ended.write()
    clock.now += 86_400
    report = _live(path, clock, 50, 100).report()
    assert report["seconds"]["down"] == 0
    assert report["total_seconds"] == pytest.approx(110)
    assert sum(report["seconds"].values()) == pytest.approx(110)


def test_a_start_that_fails_loses_nothing_and_hides_nothing(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "goodput.json"
    _live(path, clock, 0, 50)
    seconds = _live(path, clock, 0, 0).report()["seconds"]
    assert (seconds["step"], seconds["redone"]) == (50, 0)
    seconds = _live(path, clock, 40, 60).report()["seconds"]
    assert (seconds["step"], seconds["redone"]) == (60, 10)


@pytest.mark.parametrize(
    ("attempts", "step", "redone"),
    [
        ([(0, 50), (40, 60), (20, 100)], 100, 50),  # behind the start of the one before
        ([(0, 50), (20, 30), (30, 100)], 100, 30),  # the one after that fell back less
        ([(0, 50), (60, 80), (10, 100)], 100, 60),  # a heartbeat of the first was lost
        ([(0, 50), (50, 80), (50, 100)], 100, 30),
    ],
)
def test_a_step_is_productive_once_however_far_a_later_attempt_falls_back(
    tmp_path: Path, attempts: list[tuple[int, int]], step: int, redone: int
) -> None:
    clock = Clock()
    for first, last in attempts:
        ledger = _live(tmp_path / "goodput.json", clock, first, last)
    seconds = ledger.report()["seconds"]
    assert (seconds["step"], seconds["redone"]) == pytest.approx((step, redone))


def test_sabotage_a_ledger_that_books_twice_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Ledger._switch

    def _switch(self: Ledger, bucket: str) -> str:
        since = self._since
        outer = real(self, bucket)
        self._since = since
        return outer

    monkeypatch.setattr(Ledger, "_switch", _switch)
    with pytest.raises(AssertionError):
        test_buckets_add_up_over_restarts(tmp_path)


def test_time_measured_inside_a_block_is_booked_elsewhere() -> None:
    clock = Clock()
    ledger = Ledger(clock)
    ledger.begin(0)
    with ledger.spend("step"):
        clock.now += 5
    ledger.move("step", "data", 2)
    ledger.move("step", "data", 100)  # two clocks never agree: a bucket does not fall below zero
    report = ledger.report()
    assert (report["seconds"]["step"], report["seconds"]["data"]) == (0, 5)
    assert sum(report["seconds"].values()) == report["total_seconds"]


def test_failure_rate_is_learnt_over_restarts(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "goodput.json"
    first = Ledger(clock)
    first.open(path)
    clock.now += 300
    assert first.mean_time_between_failures == 300  # none yet: at least what was lived
    first.write()
    for life in (100, 200):
        clock.now += 50  # down
        again = Ledger(clock)
        again.open(path)
        clock.now += life
        again.write()
    assert again.mean_time_between_failures == 600 / 2


def test_a_damaged_ledger_costs_only_the_statistic(tmp_path: Path) -> None:
    path = tmp_path / "goodput.json"
    path.write_text("[{")
    _live(path, Clock(), 0, 5)


def _simulate(save_secs: float, hours: float, mtbf: float, every: float) -> dict:
    """Die at random with the costs measured here; time runs in whole saves."""
    rng, now, done, attempts = random.Random(0), 0.0, 0.0, []
    while now < hours * 3600:
        life, restart = rng.expovariate(1 / mtbf), 30.0
        work = max(0.0, life - restart)
        saves = int(work // (every + save_secs))
        step = work - saves * save_secs
        seconds = {"start": min(life, restart), "step": step, "save": saves * save_secs}
        attempts.append(Attempt(now, now + life, round(done), round(done + step), seconds))
        done += saves * every
        now += life + 10
    return summarize(attempts)


def test_goodput_with_a_failure_every_three_hours() -> None:
    save_secs, mtbf = 0.05, 3 * 3600.0
    report = _simulate(save_secs, 1000, mtbf, young_interval(save_secs, mtbf))
    assert sum(report["seconds"].values()) == pytest.approx(report["total_seconds"], rel=1e-3)
    assert report["goodput"] >= 0.97


def test_young_beats_other_intervals() -> None:
    save_secs, mtbf = 5.0, 3 * 3600.0
    best = young_interval(save_secs, mtbf)
    goodputs = [_simulate(save_secs, 5000, mtbf, best * f)["goodput"] for f in (0.1, 1.0, 10.0)]
    assert max(goodputs) == goodputs[1]
