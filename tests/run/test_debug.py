"""What shows the inside of a step: `--debug` runs it as Python, `--debug_nan` finds a NaN."""

import bdb
import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

from common.exit_codes import ExitCode, RunError
from tests.processes import ROOT, trainer
from tests.run import debugged
from trainer.cluster.placement import Placement
from trainer.config import TrainConfig
from trainer.monitoring.phases import unwatched
from trainer.monitoring.stop import StopSignal
from trainer.run import debug, loop
from trainer.run.request import make_request

FILE = str(Path(debugged.__file__))


def said(config: TrainConfig, where: str = "") -> list[str]:
    return list(debug.debug(make_request(config, Placement("cpu")), where))


def hunted(config: TrainConfig, where: Path) -> dict:
    request = make_request(config, Placement("cpu"), debug_nan=True)
    return loop.run(request, str(where), stop=StopSignal(), phases=unwatched())


def test_breakpoints_and_prints_work_in_step_loss_layer_and_function():
    process = subprocess.run(
        [sys.executable, "-m", "trainer", f"--config={FILE}", "--debug"],
        cwd=ROOT,
        env={**os.environ, "PLANTED": "stops"},
        # The first stop is in the step, the second in the layer: its input has values.
        input="c\np 'sum is', float(tf.reduce_sum(0.0 * x))\n" + 40 * "c\n",
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    out = process.stdout
    assert "debugged.py" in out and "in the step" in out
    assert "('sum is', 0.0)" in out
    # Two steps of two microbatches, and two of the evaluation; the compiled step says nothing.
    assert out.count("in the step") == 2
    assert out.count("in the loss") == out.count("in the layer (4, 8)") == 6
    assert out.count("in a function 3") == 2
    assert "in the loss a graph" not in out
    assert "debug: 3 losses as Python and as compiled (execution=graph) agree to 1e-05" in out


def test_debug_nan_is_a_flag_of_a_run(tmp_path):
    flags = (f"--config={FILE}", "--debug_nan", f"--workdir={tmp_path / 'run'}")
    ended = trainer(*flags, environment={"PLANTED": "layer"})
    assert ended.code == 70
    named = "gradient 0, microbatch 0: layer doubled (32 numbers); examples 1015, "
    assert f"step {debugged.BAD_STEP}: the first that is not finite is {named}" in ended.last_line


def test_leaving_the_debugger_ends_in_one_line(monkeypatch):
    def quit_it():
        raise bdb.BdbQuit

    monkeypatch.setattr(debugged, "PLANTED", "stops")
    monkeypatch.setattr(sys, "breakpointhook", quit_it)
    assert said(debugged.get_config()) == ["debug: the debugger was left; nothing was compared"]


@pytest.mark.parametrize(
    ("planted", "reason"),
    [
        ("numpy", r"debugged.py:\d+: AttributeError: .*numpy.*take that out before you train"),
        ("counts", r"step 0: loss \S+ as Python, and \S+ compiled: Python runs once"),
    ],
)
def test_what_only_python_can_do_is_refused_at_the_end(monkeypatch, planted, reason):
    monkeypatch.setattr(debugged, "PLANTED", planted)
    lines = debug.debug(make_request(debugged.get_config(), Placement("cpu")), "")
    assert [next(lines)[:6] for _ in range(3)] == ["step 0", "step 1", "evalua"]
    with pytest.raises(RunError, match=reason) as raised:
        next(lines)
    assert raised.value.code is ExitCode.BAD_CONFIG


def test_a_run_is_looked_into_where_it_stands(tmp_path):
    config = debugged.get_config()
    whole = hunted(config, tmp_path)
    assert whole["status"] == "done"
    longer = dataclasses.replace(config, train_steps=8, execution="xla_loop")
    *losses, last = said(longer, str(tmp_path))
    assert [line.partition(":")[0] for line in losses] == ["step 6", "step 7", "evaluation"]
    assert "execution=xla_loop" in last
    with pytest.raises(RunError, match="has made all 6 steps"):
        said(config, str(tmp_path))


@pytest.mark.parametrize(
    ("planted", "named"),
    [
        ("gradient", r"gradient 0, microbatch 0: gradient of first/bias \(8 numbers\)"),
        ("update", r"the update made variable main/\d+/last/kernel not finite, with a finite"),
    ],
)
def test_the_first_number_that_is_not_finite_is_named(monkeypatch, tmp_path, planted, named):
    monkeypatch.setattr(debugged, "PLANTED", planted)
    config = dataclasses.replace(debugged.get_config(), train_steps=12, log_every_steps=12)
    with pytest.raises(RunError, match=rf"step {debugged.BAD_STEP}: .*{named}") as raised:
        hunted(config, tmp_path)
    assert raised.value.code is ExitCode.BUG
