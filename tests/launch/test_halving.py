"""Successive halving as it runs: the same ranking and winner after any kill."""

import contextlib
import dataclasses
import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest
from local_jobs import finish, until_over
from test_search import RANDOM, load

from common.exit_codes import RunError
from launch.cli import plan
from launch.local import worker
from launch.local.backend import LocalBackend
from launch.local.job_folder import JobFolder
from launch.spec.halving import Halving
from launch.spec.job import JobSpec

STANDIN = Path(__file__).with_name("standin_trial.py")


def spec_of(tmp_path: Path, name: str, count: int = 8, steps: int = 16, **fields) -> JobSpec:
    trials, rule = load(tmp_path, RANDOM.format(count=count, steps=steps), "runs/s")
    command = (sys.executable, str(STANDIN))
    fields = {"trials": trials, "halving": rule, "parallel_trials": 2, "command": command} | fields
    return JobSpec(name, args=("--workdir=runs/s",), **fields)


def kill_after(backend: LocalBackend, name: str, num_starts: int) -> None:
    """Kill the supervisor of a sweep, and its trials, when so many of them were started."""
    folder, deadline = JobFolder(backend._root / name), time.monotonic() + 600
    while len(starts := [e for e in folder.events() if e["event"] == "start"]) < num_starts:
        assert time.monotonic() < deadline, backend.status(name)
        time.sleep(0.01)
    try:
        stat = Path(f"/proc/{starts[-1]['pid']}/stat").read_text()
        os.kill(int(stat.rpartition(")")[2].split()[1]), signal.SIGKILL)
    except (FileNotFoundError, ProcessLookupError):  # it has just ended: the next one then
        return kill_after(backend, name, num_starts + 1)
    while folder.has_supervisor():
        time.sleep(0.01)
    left = {start["pid"] for start in worker.alive(folder.events())} | started_here()
    backend.cancel(name)
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        until_over(pid)
    return None


def started_here() -> set[int]:
    """Return the trials that run here: of the last one nobody may have noted the start."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (process / "cmdline").read_bytes().split(b"\0")
            is_trial = any(word.startswith(b"--workdir=runs/s/") for word in words)
            if is_trial and (process / "cwd").samefile("."):
                found.add(int(process.name))
    return found


def of_rungs(folder: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted(folder.glob("rung-*.json"))]


def test_a_sweep_killed_in_every_rung_has_the_same_ranking_and_winner(
    backend, tmp_path, monkeypatch
):
    ends, ranked = [], []
    # In rung 0; in rung 1, where one is ready; in rung 2; in rung 3.
    for kills in ((), (5, 11, 6, 3)):
        (tmp_path / f"after-{len(kills)}").mkdir()
        monkeypatch.chdir(tmp_path / f"after-{len(kills)}")
        for number, num_starts in enumerate(kills):
            name = f"killed-{len(kills)}-{number}"
            backend.submit(spec_of(tmp_path, name))
            kill_after(backend, name, num_starts)
        name = f"whole-{len(kills)}"
        backend.submit(spec_of(tmp_path, name))
        ends.append(finish(backend, name))
        ranked.append(backend.report(name).trials)
    assert [end.phase for end in ends] == ["succeeded"] * 2
    assert ends[0].detail == ends[1].detail
    assert of_rungs(tmp_path / "after-0/runs/s") == of_rungs(tmp_path / "after-4/runs/s")
    assert [len(one["reached"]) for one in of_rungs(tmp_path / "after-0/runs/s")] == [8, 4, 2, 1]
    # From the seed and the summaries alone: the same order, and the winner first.
    shown = [[line.split()[0] for line in lines if "step" in line] for lines in ranked]
    assert shown[0][0] in ends[0].detail
    summaries = [(tmp_path / f"after-{n}/runs/s").glob("trial-*/summary.json") for n in (0, 4)]
    reached = [{p.parent.name: json.loads(p.read_text()) for p in found} for found in summaries]
    assert reached[0] == reached[1]
    order = sorted(
        reached[0], key=lambda t: (-reached[0][t]["step"], -reached[0][t]["eval"]["accuracy"])
    )
    assert [f"trial-{index}" for index in shown[0]] == order


def test_a_trial_that_fails_is_left_out_and_a_sweep_of_failures_fails(backend, tmp_path):
    trials = tuple(
        (f"--config.rate={rate}", f"--workdir=runs/s/trial-{i}")
        for i, rate in enumerate((0.95, 0.1, 0.2, 0.3))
    )
    backend.submit(spec_of(tmp_path, "mixed", trials=trials, steps=4))
    end = finish(backend, "mixed")
    assert (end.phase, end.detail) == ("succeeded", "best trial: 3, accuracy=0.88235 at step 4")
    assert of_rungs(Path("runs/s"))[0]["reached"]["0"] is None
    failing = tuple((f"--config.rate={i}", f"--workdir=runs/f/trial-{i}") for i in (1, 2))
    backend.submit(spec_of(tmp_path, "failing", trials=failing))
    assert finish(backend, "failing").detail == "no trial reached step 8 with a finite accuracy"


def test_a_trial_that_is_refused_after_it_began_leaves_the_rung_open(backend, tmp_path):
    for folder in ("trial-1", "trial-2"):
        Path("runs/s", folder, "checkpoints").mkdir(parents=True)
    Path("runs/s/trial-1/step").write_text("9")  # more than the rung: as edited code is refused
    backend.submit(spec_of(tmp_path, "edited", count=4, steps=8))
    end = finish(backend, "edited")
    assert end.phase == "failed"
    assert end.detail.startswith("trial 1: not retried")
    assert end.detail.endswith("submit again with the same --workdir")
    assert of_rungs(Path("runs/s")) == []
    Path("runs/s/trial-1/step").unlink()
    backend.submit(spec_of(tmp_path, "repaired", count=4, steps=8))
    assert finish(backend, "repaired").phase == "succeeded"


def test_the_rungs_of_another_sweep_are_refused(backend, tmp_path):
    backend.submit(spec_of(tmp_path, "one", count=2, steps=2))
    assert finish(backend, "one").phase == "succeeded"
    backend.submit(spec_of(tmp_path, "two", count=2, steps=4))
    assert "rung-0.json is of another sweep" in finish(backend, "two").detail


def test_what_cannot_be_ranked_fails_with_what_there_is(backend, tmp_path):
    rule = (Halving("accurcy", 4, factor=2),)
    backend.submit(spec_of(tmp_path, "named", halving=rule))
    detail = finish(backend, "named").detail
    assert "`halving.metric` is 'accurcy', and runs/s/trial-" in detail
    assert "has accuracy" in detail


def test_a_sweep_does_not_start_beside_its_own_trials(backend, tmp_path):
    backend.submit(spec_of(tmp_path, "first", steps=4000))
    while not [e for e in JobFolder(backend._root / "first").events() if e["event"] == "start"]:
        time.sleep(0.01)
    with pytest.raises(RunError, match="first `launch cancel first`"):
        backend.submit(spec_of(tmp_path, "second", steps=4000))
    backend.cancel("first")
    finish(backend, "first")


def test_the_rungs_are_shown_before_they_cost_anything(backend, tmp_path):
    spec = spec_of(tmp_path, "shown")
    *commands, second, third, last = backend.dry_run(spec)
    assert len(commands) == 8
    assert all("--config.train_steps=2 " in command for command in commands)
    assert (second, third, last) == (
        "# then 4 to step 4",
        "# then 2 to step 8",
        "# then 1 to step 16",
    )
    shown = "\n".join(plan.lines(spec, None, 0.0, local=True))
    assert "8 to step 2, 4 to step 4, 2 to step 8, 1 to step 16" in shown
    with pytest.raises(RunError, match=r"`halving\.train_steps` of --sweep says how long"):
        backend.dry_run(dataclasses.replace(spec, args=(*spec.args, "--config.epochs=1")))


REAL = """
random:
  trials: {count}
  seed: 1
  fields:
    optimizer.learning_rate: {{log: [0.0003, 0.3]}}
halving: {{metric: loss, mode: min, factor: 2, train_steps: {steps}}}
"""


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_sweep_of_real_trials_killed_five_times_has_the_same_digest(
    backend, tmp_path, monkeypatch
):
    args = (
        "--config=digits",
        "--config.optimizer.schedule.name=constant",
        "--config.model.name=mlp",
        "--config.model.args={}",
        "--config.checkpoint_every_steps=4",
        "--workdir=runs/s",
    )
    found = []
    for kills in ((), (5, 11, 6, 3, 1)):
        (tmp_path / f"after-{len(kills)}").mkdir()
        monkeypatch.chdir(tmp_path / f"after-{len(kills)}")
        trials, rule = load(tmp_path, REAL.format(count=8, steps=64))
        spec = JobSpec(
            "", args=args, trials=trials, halving=rule, parallel_trials=2,
            command=(sys.executable, "-m", "trainer"),
        )  # fmt: skip
        for number, num_starts in enumerate(kills):
            name = f"killed-{number}"
            backend.submit(dataclasses.replace(spec, name=name))
            kill_after(backend, name, num_starts)
        name = f"whole-{len(kills)}"
        backend.submit(dataclasses.replace(spec, name=name))
        end = backend.follow(name, lambda _: None, until=time.monotonic() + 1500)
        assert end.phase == "succeeded", end
        winner = end.detail.split()[2].rstrip(",")
        summary = json.loads(Path(f"runs/s/trial-{winner}/summary.json").read_text())
        assert summary["step"] == 64
        found.append((end.detail, of_rungs(Path("runs/s")), summary["state_digest"]))
    assert found[0] == found[1]
    # Stopped and resumed at three rungs: the bits of a run that was so long from the start.
    monkeypatch.chdir(tmp_path)
    straight = dataclasses.replace(
        spec, name="straight", trials=(), halving=(),
        args=(*args[:-1], *trials[int(winner)][:-1], "--config.train_steps=64", "--workdir=w"),
    )  # fmt: skip
    backend.submit(straight)
    assert backend.follow("straight", lambda _: None, until=time.monotonic() + 600).phase
    assert json.loads(Path("w/summary.json").read_text())["state_digest"] == found[0][2]
