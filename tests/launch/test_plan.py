"""Before `submit` sends anything it says what: hardware, time, cost; on a terminal it asks."""

import dataclasses
import io
import json
import sys
from pathlib import Path

import pytest
from command_line import TRAINER
from fake_cluster import spec

from launch.cli import plan
from launch.cli.main import main
from launch.spec.figures import Figures, of_run

CLUSTER = ["submit", "--backend=kubernetes", "--image=lockstep:0.1.0-cpu", "--name=run"]


def leave_figures(folder: Path, steps: int = 7200, done: bool = True) -> None:
    """What a run leaves that made half of its steps, was killed, and made the others."""
    folder.mkdir()
    seconds = {"start": 20.0, "compile": 10.0, "step": steps / 4, "save": 5.0}
    attempts = [
        {
            "started": 1000.0 + 4000 * i,
            "ended": 1000.0 + 4000 * i + sum(seconds.values()),
            "first_step": i * steps // 2,
            "last_step": (i + 1) * steps // 2,
            "seconds": seconds,
        }
        for i in range(2)
    ]
    (folder / "goodput.json").write_text(json.dumps(attempts))
    if done:
        summary = {"step": steps, "replicas": 2, "goodput": {"goodput": 0.8}}
        (folder / "summary.json").write_text(json.dumps(summary))


def test_the_figures_of_a_run_come_from_all_its_attempts(tmp_path):
    def read(path: str) -> str:
        return Path(path).read_text()

    leave_figures(tmp_path / "w")
    found = of_run(f"{tmp_path}/w", read)
    assert (found.secs_per_step, found.start_secs, found.goodput) == (0.5, 30.0, 0.8)
    assert found.hours == pytest.approx(1 + 30 / 3600)
    leave_figures(tmp_path / "half", done=False)
    half = of_run(f"{tmp_path}/half", read)
    assert (half.steps, half.hours) == (0, 0)
    assert of_run(f"{tmp_path}/none", read) is None
    (tmp_path / "w" / "goodput.json").write_text("[]")
    assert of_run(f"{tmp_path}/w", read) is None


def test_the_plan_is_this_page():
    job = dataclasses.replace(spec("gpu-4x8"), spot=True, queue="training")
    figures = Figures("runs/a", 0.5, 40.0, 0.8, 7200, 32)
    assert plan.lines(job, figures, 10.0, local=False) == [
        "  job           gpu-4x8",
        "  hardware      4 x NVIDIA H100 80 GB, nvidia.com/gpu:8, 192 CPU, 1600Gi each, "
        "namespace lockstep, spot machines, queue training",
        "  image         lockstep:0.1.0-gpu",
        "  microbatches  32 over 32 replica(s), 1 each",
        "  workdir       gs://BUCKET/gpu-4x8",
        "  time          500 ms a step in runs/a: 7200 steps take 1.0 h on 32 replica(s); "
        "at most 72 h (--deadline_hours)",
        "  cost          40.00 an hour, about 50.56 at the measured goodput, at most 2,880.00",
        "  remark        A spot machine that is taken back gives 15 s from SIGTERM to SIGKILL: "
        "--grace_secs=60 holds for drains alone; a save must fit into it, or costs its interval.",
        "  interruption  costs about 40 s to start again; the run is saved on SIGTERM and goes on "
        "bit for bit; measured goodput 80%",
    ]


def test_what_was_not_measured_is_not_promised():
    job = spec("gpu-4x8")
    other = Figures("runs/a", 0.5, 40.0, 0.8, 7200, 2)
    page = "\n".join(plan.lines(job, other, 10.0, local=False))
    assert "on 2 replica(s); on 32 not measured" in page
    assert "about" not in page
    page = "\n".join(plan.lines(job, None, 0.0, local=False))
    assert "unknown, at most 72 h" in page
    assert "cost" not in page


def test_an_earlier_run_tells_the_time_and_the_cost(api, tmp_path, capsys):
    leave_figures(tmp_path / "w")
    argv = [*CLUSTER, "--workers=2", f"--like={tmp_path}/w", "--price_per_hour=3"]
    assert main([*argv, *TRAINER]) == 0
    shown = capsys.readouterr()
    assert shown.out == "run\n"
    assert f"500 ms a step in {tmp_path}/w: 7200 steps take 1.0 h on 2 replica(s)" in shown.err
    assert "6.00 an hour, about 7.56 at the measured goodput, at most 432.00" in shown.err


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_somebody_is_asked_on_a_terminal_and_a_program_is_not(api, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    for answer, code in (("n\n", 1), ("\n", 1), ("", 1), ("yes\n", 0)):
        monkeypatch.setattr(sys, "stdin", Terminal(answer))
        assert main([*CLUSTER, *TRAINER]) == code
        shown = capsys.readouterr().err
        assert "submit? [y/N]" in shown
        assert ("nothing was sent" in shown) == (code == 1)
        assert any("dry run" not in path for path in api.sent("POST")) == (code == 0)
    api.objects.clear()
    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    assert main([*CLUSTER, "--yes", *TRAINER]) == 0
    assert "submit?" not in capsys.readouterr().err
    api.objects.clear()
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    assert main([*CLUSTER, *TRAINER]) == 0
