"""`--profile` traces the steps it was asked for, and changes no bit."""

import json
from pathlib import Path

import pytest

from common.exit_codes import ExitCode, RunError
from tests.processes import SHORT, summary, trainer
from trainer.monitoring.goodput import Ledger
from trainer.monitoring.phases import Phases, StepTimes
from trainer.monitoring.profile import Span, parse
from trainer.monitoring.watchdog import Watchdog

MLP = ("--config.model.name=mlp", "--config.model.args={}")


def test_a_trace_of_some_steps_lands_in_the_workdir_and_the_state_is_the_same(tmp_path):
    plain = summary(tmp_path / "plain", *MLP, *SHORT)
    traced = summary(tmp_path / "traced", *MLP, *SHORT, "--profile=3:4")
    assert traced["state_digest"] == plain["state_digest"]
    traces = list((tmp_path / "traced" / "tensorboard").rglob("*.xplane.pb"))
    assert len(traces) == 1
    assert traces[0].stat().st_size > 1000
    assert not list((tmp_path / "plain").rglob("*.xplane.pb"))
    assert not reports(tmp_path / "plain")
    (report,) = reports(tmp_path / "traced")
    assert report["step"] == 7
    assert report["profile/reduce_ms"] == 0  # one replica
    assert report["profile/compute_ms"] > 0
    assert report["profile/peak_gflops_per_second"] > 1
    assert 0 < report["profile/utilisation"] < 1


def test_what_replicas_exchange_is_told_apart(tmp_path):
    run = summary(tmp_path, *MLP, *SHORT, "--profile=3:4", "--cpu_replicas=2")
    (report,) = reports(tmp_path)
    assert report["profile/reduce_ms"] > 0
    assert run["replicas"] == 2


def reports(workdir: Path) -> list[dict[str, float]]:
    lines = map(json.loads, (workdir / "metrics.jsonl").read_text().splitlines())
    return [line for line in lines if "profile/compute_ms" in line]


def test_steps_count_with_the_time_of_their_call():
    now = [0.0]
    ledger = Ledger(clock=lambda: now[0])
    times = StepTimes(Phases(Watchdog(10, 10), ledger))
    times.add(0.002, 98)
    times.add(0.5, 2)
    with ledger.spend("data"):
        now[0] += 0.1
    with ledger.spend("save"):
        now[0] += 5.0
    with ledger.spend("other"):
        now[0] += 0.3
    rate = {"steps_per_second": 100 / 1.196}
    assert times.read() == pytest.approx(
        rate | {"step_ms_p50": 2.0, "step_ms_p99": 500.0, "data_ms": 1.0, "host_ms": 3.0}
    )
    assert times.read() == {}
    times.add(0.001, 10)  # what came before the last line does not count
    assert times.read()["steps_per_second"] == pytest.approx(1000)


def test_calls_end_at_both_ends_of_the_span():
    span = Span(10, 14)
    assert [span.most(step, 64) for step in (0, 9, 10, 13, 14)] == [10, 1, 4, 1, 64]
    assert span.most(0, 3) == 3


@pytest.mark.parametrize("text", ["10", "10:", "10:0", "a:3", "-1:3", "1:2:3"])
def test_anything_but_start_and_steps_is_refused(text):
    with pytest.raises(RunError, match="write START:STEPS") as caught:
        parse(text)
    assert caught.value.code is ExitCode.BAD_FLAG


def test_the_flag_is_refused_before_anything_starts(tmp_path):
    shown = trainer("--profile=soon", f"--workdir={tmp_path}")
    assert shown.code == 64
    assert "--profile='soon': write START:STEPS" in shown.last_line
