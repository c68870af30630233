"""The pages of `describe` and `list`, and the codes by which `wait` tells how a job ended."""

import pytest

from launch.cli import views
from launch.cli.main import parse
from launch.local.history import failures, phase_of
from launch.local.job_folder import JobFolder
from launch.local.logs import LogFollower, last_lines
from launch.spec.causes import Cause, Failure
from launch.spec.status import JobStatus, describe, table
from launch.spec.sweep import results

FAILURE = Failure("worker 1", 2, 65, "data corrupt", "replace the file", ("a", "b"), Cause.DATA)
STATUS = JobStatus(
    name="job",
    backend="local",
    phase="failed",
    detail="no more",
    created="2026-01-01",
    command="python -m trainer",
    workdir="runs/job",
    restarts=1,
    max_restarts=3,
    first_failure=FAILURE,
)


def test_describe_is_this_page():
    assert describe(STATUS).splitlines() == [
        "job (local)",
        "  phase         failed, no more",
        "  submitted     2026-01-01",
        "  command       python -m trainer",
        "  workdir       runs/job",
        "  restarts      1 of 3",
        "  first failure worker 1, attempt 2: exit code 65: data corrupt",
        "  cause         data",
        "  try           replace the file",
        "  last lines",
        "    | a",
        "    | b",
    ]


def test_describe_leaves_out_what_there_is_not():
    sweep = JobStatus("s", "kubernetes", "running", max_restarts=3, trials=("  0  x  done",))
    assert describe(sweep).splitlines() == [
        "s (kubernetes)",
        "  phase         running",
        "  restarts      0 of 3 a trial",
        "  trials",
        "      0  x  done",
    ]


def test_list_is_this_table():
    running = JobStatus("a-longer-name", "local", "running", "1 of 3 running", "2026", restarts=12)
    healed = JobStatus("b", "local", "succeeded", "fine", first_failure=FAILURE)
    assert table([STATUS, running, healed]).splitlines() == [
        "NAME           PHASE      RESTARTS  SUBMITTED   DETAIL",
        "job            failed     1         2026-01-01  "
        "worker 1, attempt 2: exit code 65: data corrupt",
        "a-longer-name  running    12        2026        1 of 3 running",
        "b              succeeded  0                     fine",
    ]


def test_a_failure_without_a_code_shows_none():
    assert str(Failure("worker 0", 0, None, "Evicted", "x")) == "worker 0, attempt 0: Evicted"


@pytest.mark.parametrize(
    ("phase", "code"),
    [("succeeded", 0), ("failed", 1), ("cancelled", 1), ("lost", 1), ("running", 124)],
)
def test_wait_ends_with_the_code_of_the_phase(monkeypatch, phase, code, capsys):
    class Backend:
        poll_secs = 0.01

        def status(self, name: str) -> JobStatus:
            return JobStatus(name, "local", phase)

        report = status

    monkeypatch.setattr(views, "open_backend", lambda _: Backend())
    assert views.wait(parse("wait", ["job", "--timeout_secs=0.05"])) == code
    assert f"phase         {phase}" in capsys.readouterr().out


def test_the_results_of_trials_are_these_lines():
    trials = tuple((f"--config.seed={i}", "--config.x.y=a b", f"--workdir=w/{i}") for i in range(6))
    files = {
        "w/1/summary.json": '{"eval": {"loss": 0.123456789, "top": 1}, "train": {"loss": 9.0}}',
        "w/2/summary.json": '{"eval": {}, "train": {"loss": 9.0}}',
        "w/3/summary.json": "{}",
        "w/4/summary.json": "no JSON",
    }
    codes = {0: 78, 1: 0, 2: 0, 3: 0, 4: 0}
    found = [line.split("  ")[-1] for line in results(trials, codes, files.__getitem__)]
    assert found[0].startswith("exit code 78: bad config")
    assert found[1:4] == ["done loss=0.12346 top=1", "done loss=9", "done"]
    assert found[4].startswith("done; no summary: ")
    assert found[5] == "no result"
    first = results(trials, codes, files.__getitem__)[1]
    assert first.startswith("  1  seed=1 x.y=a b  done")


def exit_of(worker: str, code: int, attempt: int = 0, told: bool = False) -> dict:
    ended = {"worker": worker, "attempt": attempt, "code": code, "told_to_stop": told}
    return {"event": "exit", **ended}


def test_a_worker_that_was_told_to_stop_is_not_the_one_that_failed(tmp_path):
    events = [
        exit_of("worker 0", 137, told=True),
        exit_of("worker 1", 70),
        exit_of("worker 2", 143),
    ]
    for order in (events, events[::-1]):
        assert failures(order, JobFolder(tmp_path))[0].worker == "worker 1"
    assert failures([events[0], exit_of("worker 1", 0)], JobFolder(tmp_path)) == (None, ())


def test_the_newest_attempt_is_shown_with_its_own_log(tmp_path):
    (tmp_path / "logs").mkdir()
    for attempt in range(2):
        (tmp_path / f"logs/worker-1.attempt-{attempt}.log").write_text(f"line {attempt}\n")
    events = [exit_of("worker 0", 78), exit_of("worker 1", 65, attempt=1)]
    found, earlier = failures(events, JobFolder(tmp_path))
    assert [line.partition(": exit")[0] for line in earlier] == ["worker 0, attempt 0"]
    assert (found.worker, found.attempt, found.last_lines) == ("worker 1", 1, ("line 1",))


def test_workers_that_run_are_those_that_started_and_have_not_ended():
    events = [{"event": "start", "worker": f"worker {i}"} for i in range(3)]
    assert phase_of(events[:0], True, 3) == ("starting", "0 of 3 running")
    assert phase_of(events, True, 3) == ("running", "3 of 3 running")
    assert phase_of([*events, exit_of("worker 1", 0)], True, 3) == ("running", "2 of 3 running")
    assert phase_of(events, False, 3)[0] == "lost"
    end = {"event": "end", "phase": "succeeded", "reason": ""}
    assert phase_of([*events, end], False, 3) == ("succeeded", "")


def test_logs_are_followed_line_by_line_in_the_order_of_attempts(tmp_path):
    def write(name: str, text: str) -> None:
        with (tmp_path / name).open("a") as log:
            log.write(text)

    for attempt in (10, 2):
        write(f"worker-0.attempt-{attempt}.log", f"attempt {attempt}\nunfinished")
    write("worker-1.attempt-0.log", "other\n")
    logs, only = LogFollower(tmp_path), LogFollower(tmp_path, "worker-1")
    first = ["[worker 1] other", "[worker 0] attempt 2", "[worker 0] attempt 10"]
    assert list(logs.read()) == first
    assert list(only.read()) == ["[worker 1] other"]
    assert list(logs.read()) == []
    write("worker-0.attempt-2.log", " no more\nnext")
    assert list(logs.read()) == ["[worker 0] unfinished no more"]
    assert list(logs.read(flush=True)) == ["[worker 0] next", "[worker 0] unfinished"]


def test_the_last_five_lines_that_say_something(tmp_path):
    path = tmp_path / "log"
    assert last_lines(path) == ()
    path.write_text("x" * 20_000 + "\n" + "\n\n".join("abcdefg") + "\n \n")
    assert last_lines(path) == tuple("cdefg")
