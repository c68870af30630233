from trainer.monitoring.watchdog import FLOOR_SECS, Watchdog


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def _watchdog() -> tuple[Watchdog, Clock, list[str]]:
    clock, ends = Clock(), []
    return Watchdog(30, 1000, clock=clock, on_expiry=ends.append), clock, ends


def _pass(watchdog: Watchdog, clock: Clock, phase: str, secs: float) -> None:
    with watchdog.watch(phase):
        clock.now += secs
        watchdog.check()


def test_start_has_its_own_deadline() -> None:
    watchdog, clock, ends = _watchdog()
    _pass(watchdog, clock, "start", 29)
    assert not ends
    _pass(watchdog, clock, "start", 31)
    assert "hang (202): phase 'start'" in ends[0]
    assert "--startup_deadline_secs" in ends[0]


def test_first_pass_is_loose_and_later_ones_tight() -> None:
    watchdog, clock, ends = _watchdog()
    _pass(watchdog, clock, "step", 4)
    assert not ends
    assert watchdog.limit("step") == 80
    _pass(watchdog, clock, "step", 81)
    assert len(ends) == 1


def test_learnt_deadline_has_a_floor_and_a_ceiling() -> None:
    watchdog, clock, _ = _watchdog()
    _pass(watchdog, clock, "step", 0.01)
    assert watchdog.limit("step") == FLOOR_SECS
    _pass(watchdog, clock, "evaluate", 500)
    assert watchdog.limit("evaluate") == 1000


def test_the_longest_is_learnt_and_not_the_last() -> None:
    watchdog, clock, ends = _watchdog()
    for secs in (5, 10, 5, 1, 190):  # 190: under 20 times the 10, over 20 times the 1
        _pass(watchdog, clock, "evaluate", secs)
    assert not ends


def test_a_phase_that_ended_is_not_watched() -> None:
    watchdog, clock, ends = _watchdog()
    _pass(watchdog, clock, "step", 1)
    clock.now += 10_000
    watchdog.check()
    assert not ends


def test_nothing_is_learnt_of_phases_that_depend_on_other_work() -> None:
    watchdog, clock, ends = _watchdog()
    watchdog.never_learn("step")
    for phase in ("peers", "save", "end", "leave", "step"):
        _pass(watchdog, clock, phase, 0.01)
        _pass(watchdog, clock, phase, 999)  # a report that is drawn, an upload before a save
    assert not ends
    _pass(watchdog, clock, "peers", 1001)
    assert len(ends) == 1
