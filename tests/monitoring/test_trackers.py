"""Trackers get every line once, whatever becomes of them and of the run."""

import json
import time
from pathlib import Path

import pytest

from common.exit_codes import ExitCode, RunError
from tests.chaos.harness import finish, run
from trainer.config import PartConfig
from trainer.monitoring import attachments, trackers
from trainer.report.run_files import by_step, read_lines

LISTING = PartConfig("tests.monitoring.listing:Listing")


@pytest.fixture
def workdir(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setattr(trackers, "_POLL_SECS", 0.01)
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


def log(workdir: Path, *steps: int, x: float = 1.0) -> None:
    with (workdir / "metrics.jsonl").open("a") as file:
        for step in steps:
            file.write(json.dumps({"step": step, "digest": "ab", "x": x, "y": None}) + "\n")


def end(workdir: Path, status: str = "done") -> None:
    (workdir / "summary.json").write_text(json.dumps({"status": status}))


def follow(workdir: Path, *final: int, part: PartConfig = LISTING) -> trackers.Follower:
    """Follow a run whose final step is the last of `final`, to which may be added."""
    given = list(final) or [-1]
    (follower,) = trackers.follow([part], workdir, lambda: given[-1])
    return follower


def listed(workdir: Path) -> list[dict[str, float]]:
    file = workdir.parent / "run-listing.jsonl"
    return [json.loads(x) for x in file.read_text().splitlines()] if file.exists() else []


def wanted(*steps: int, x: float = 1.0) -> list[dict[str, float]]:
    return [{"step": step, "x": x} for step in steps]


def wait_for(workdir: Path, lines: list[dict[str, float]]) -> None:
    deadline = time.monotonic() + 60
    while listed(workdir) != lines:
        assert time.monotonic() < deadline, listed(workdir)
        time.sleep(0.01)


def test_final_steps_arrive_while_the_run_goes_on_and_the_rest_at_its_end(workdir) -> None:
    log(workdir, 1, 2, 3)
    follower = follow(workdir, 2)
    wait_for(workdir, wanted(1, 2))
    log(workdir, 4)
    end(workdir)
    follower.close()
    assert listed(workdir) == wanted(1, 2, 3, 4)
    assert (workdir.parent / "run-listing.closed").read_text() == "summary.json"


def test_all_lines_of_a_step_are_one_call(workdir) -> None:
    log(workdir, 1)
    with (workdir / "metrics.jsonl").open("a") as file:
        file.write('{"step": 1, "z": 2.0}\n')
    end(workdir)
    follow(workdir).close()
    assert listed(workdir) == [{"step": 1, "x": 1.0, "z": 2.0}]


def test_what_a_restart_writes_again_was_not_sent_before(workdir) -> None:
    log(workdir, 1, 2, 3)
    follow(workdir, 1).close()  # killed after the checkpoint of step 1
    (workdir / "metrics.jsonl").unlink()
    log(workdir, 1)
    follower = follow(workdir, 1)
    log(workdir, 2, 3, x=2.0)  # as another process measures it
    end(workdir)
    follower.close()
    assert listed(workdir) == wanted(1) + wanted(2, 3, x=2.0)


def test_a_run_that_was_stopped_sends_its_rest_when_it_goes_on(workdir) -> None:
    log(workdir, 1, 2)
    end(workdir, "stopped")
    follow(workdir, 1).close()
    assert listed(workdir) == wanted(1)
    end(workdir)
    follow(workdir, 1).close()
    assert listed(workdir) == wanted(1, 2)


def test_the_file_is_read_on_from_where_it_was(workdir) -> None:
    log(workdir, 1, 2)
    follower = follow(workdir, 2)
    wait_for(workdir, wanted(1, 2))
    with (workdir / "metrics.jsonl").open("r+") as file:
        file.write("#" * 40)  # nobody looks there again
    log(workdir, 3)
    end(workdir)
    follower.close()
    assert listed(workdir) == wanted(1, 2, 3)


def test_a_tracker_that_is_down_is_said_once_and_caught_up(workdir, capsys) -> None:
    (workdir.parent / "down").touch()
    log(workdir, 1, 2)
    follower = follow(workdir, 2)
    time.sleep(0.2)
    end(workdir)
    follower.close()
    said = capsys.readouterr().err
    assert said.count("ConnectionError") == 1
    assert "the same command sends the rest" in said
    assert "secret" not in said
    (workdir.parent / "down").unlink()
    follow(workdir, 1).close()
    assert listed(workdir) == wanted(1, 2)
    assert (workdir.parent / "run-listing.closed").exists()


def test_the_end_is_told_once_and_a_longer_run_has_another(workdir) -> None:
    closed = workdir.parent / "run-listing.closed"
    log(workdir, 1)
    end(workdir)
    follow(workdir).close()
    closed.unlink()
    follow(workdir).close()
    assert not closed.exists()
    log(workdir, 2)
    follow(workdir).close()
    assert closed.exists()
    assert listed(workdir) == wanted(1, 2)


def test_a_tracker_that_never_answers_is_left_behind(workdir, monkeypatch, capsys) -> None:
    monkeypatch.setattr(trackers, "_LAST_SECS", 0.2)
    log(workdir, 1)
    slow = PartConfig("tests.monitoring.listing:NeverAnswers")
    two = trackers.follow([slow, LISTING], workdir, lambda: 1)
    started = time.monotonic()
    for follower in two:
        follower.close()
    assert time.monotonic() - started < 60
    assert "NeverAnswers: does not take all" in capsys.readouterr().err
    assert listed(workdir) == wanted(1)


def test_another_server_is_told_everything(workdir) -> None:
    log(workdir, 1)
    end(workdir)
    follow(workdir).close()
    name = trackers.run_id(workdir)
    follow(workdir, part=PartConfig(LISTING.name, {"name": "other.jsonl"})).close()
    assert json.loads((workdir.parent / "run-other.jsonl").read_text()) == wanted(1)[0]
    assert trackers.run_id(workdir) == name


@pytest.mark.slow
def test_after_ten_kills_every_step_was_told_once_as_it_is_written(tmp_path: Path) -> None:
    flags = ('--config.trackers=[{"name": "tests.monitoring.listing:Listing"}]',)
    for count in range(10):
        killed = run(tmp_path / "run", *flags, failpoint=f"loop.boundary:kill@{3 + count % 4}")
        assert killed.wait() in (0, 137), killed.output
    finish(tmp_path / "run", *flags)
    lines = read_lines(tmp_path / "run" / "metrics.jsonl")
    numbers = [{n: v for n, v in x.items() if isinstance(v, int | float)} for x in lines]
    written = [x for x in by_step(numbers).values() if x.keys() != {"step"}]
    assert listed(tmp_path / "run") == written


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
        trackers.follow([part], workdir, lambda: -1)
    assert raised.value.code is ExitCode.BAD_CONFIG


def test_a_client_that_is_not_installed_is_named_with_its_extra() -> None:
    with pytest.raises(ImportError, match=r"pip install 'lockstep\[no_such_client\]'"):
        attachments.require("no_such_client")
