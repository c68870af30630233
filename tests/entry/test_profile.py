"""`--profile` traces the steps it was asked for, and changes no bit."""

import pytest

from tests.processes import SHORT, summary, trainer
from trainer.exit_codes import ExitCode, RunError
from trainer.watch.profile import Span, parse

MLP = ("--config.model.name=mlp", "--config.model.args={}")


def test_a_trace_of_some_steps_lands_in_the_workdir_and_the_state_is_the_same(tmp_path):
    plain = summary(tmp_path / "plain", *MLP, *SHORT)
    traced = summary(tmp_path / "traced", *MLP, *SHORT, "--profile=3:4")
    assert traced["state_digest"] == plain["state_digest"]
    traces = list((tmp_path / "traced" / "tensorboard").rglob("*.xplane.pb"))
    assert len(traces) == 1
    assert traces[0].stat().st_size > 1000
    assert not list((tmp_path / "plain").rglob("*.xplane.pb"))


def test_calls_end_at_both_edges_of_the_span():
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
