"""Trackers get every line once, whatever becomes of them and of the run."""

import json
import time
from pathlib import Path

import pytest

from common.exit_codes import ExitCode, RunError
from tests.chaos.harness import TIMED, finish, metric_lines, run
from trainer.config import PartConfig
from trainer.monitoring import trackers

LISTING = PartConfig("tests.monitoring.listing:Listing")


@pytest.fixture
def workdir(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setattr(trackers, "_POLL_SECS", 0.01)
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


def log(workdir: Path, *steps: int) -> None:
    with (workdir / "metrics.jsonl").open("a") as file:
        for step in steps:
            file.write(json.dumps({"step": step, "digest": "ab", "x": step / 2, "y": None}) + "\n")


def listed(workdir: Path) -> list[dict[str, float]]:
    file = workdir.parent / "run-listing.jsonl"
    return [json.loads(x) for x in file.read_text().splitlines()] if file.exists() else []


def wanted(*steps: int) -> list[dict[str, float]]:
    return [{"step": step, "x": step / 2} for step in steps]


def test_numbers_arrive_while_the_run_goes_on_and_the_rest_at_its_end(workdir) -> None:
    log(workdir, 1, 2)
    (follower,) = trackers.follow([LISTING], workdir)
    deadline = time.monotonic() + 60
    while listed(workdir) != wanted(1, 2):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    log(workdir, 3)
    (workdir / "summary.json").write_text("{}")
    follower.close()
    assert listed(workdir) == wanted(1, 2, 3)
    assert (workdir.parent / "run-listing.closed").read_text() == "summary.json"


def test_lines_that_a_restart_writes_again_are_not_sent_again(workdir) -> None:
    log(workdir, 1, 2, 3)
    trackers.follow([LISTING], workdir)[0].close()
    (workdir / "metrics.jsonl").unlink()  # back to the checkpoint of step 1
    log(workdir, 1)
    (follower,) = trackers.follow([LISTING], workdir)
    log(workdir, 2, 3, 4)
    follower.close()
    assert listed(workdir) == wanted(1, 2, 3, 4)


def test_a_tracker_that_is_down_is_said_once_and_caught_up(workdir, capsys) -> None:
    (workdir.parent / "down").touch()
    log(workdir, 1, 2)
    (follower,) = trackers.follow([LISTING], workdir)
    time.sleep(0.2)
    follower.close()
    said = capsys.readouterr().err
    assert said.count("ConnectionError") == 1
    assert "the same command sends the rest" in said
    assert "secret" not in said
    (workdir.parent / "down").unlink()
    trackers.follow([LISTING], workdir)[0].close()
    assert listed(workdir) == wanted(1, 2)


def test_a_tracker_that_never_answers_is_left_behind(workdir, monkeypatch, capsys) -> None:
    monkeypatch.setattr(trackers, "_LAST_SECS", 0.2)
    log(workdir, 1)
    slow = PartConfig("tests.monitoring.listing:NeverAnswers")
    two = trackers.follow([slow, LISTING], workdir)
    started = time.monotonic()
    for follower in two:
        follower.close()
    assert time.monotonic() - started < 60
    assert "NeverAnswers: does not take all" in capsys.readouterr().err
    assert listed(workdir) == wanted(1)


@pytest.mark.slow
def test_after_ten_kills_every_line_was_told_once(tmp_path: Path) -> None:
    flags = ('--config.trackers=[{"name": "tests.monitoring.listing:Listing"}]',)
    for count in range(10):
        killed = run(tmp_path / "run", *flags, failpoint=f"loop.boundary:kill@{3 + count % 4}")
        assert killed.wait() in (0, 137), killed.output
    finish(tmp_path / "run", *flags)
    told = [{k: v for k, v in line.items() if not k.startswith(TIMED)} for line in
            listed(tmp_path / "run")]  # fmt: skip
    written = [{k: v for k, v in line.items() if not isinstance(v, str)} for line in
               metric_lines(tmp_path / "run")]  # fmt: skip
    told, written = ([one for one in lines if one.keys() != {"step"}] for lines in (told, written))
    assert told == written


@pytest.mark.parametrize(
    ("part", "what"),
    [
        (PartConfig("mlflw"), r"config.trackers\[0\].name='mlflw' is not known"),
        (PartConfig("tests.monitoring.listing:Lost"), "did you mean 'Listing'"),
        (PartConfig(LISTING.name, {"nam": "x"}), r"config.trackers\[0\].args"),
    ],
)
def test_a_wrong_tracker_is_refused_before_it_is_told_anything(part, what, workdir) -> None:
    with pytest.raises(RunError, match=what) as raised:
        trackers.follow([part], workdir)
    assert raised.value.code is ExitCode.BAD_CONFIG
