"""Following a job: progress, logs that break and come back, and the conditions that decide."""

import itertools
import time

import pytest
from fake_cluster import JOBS, PODS, ended, finish, pod, put, running, spec

from common.exit_codes import ExitCode, RunError
from launch.backend import retry_transient
from launch.cli import views
from launch.cli.main import main

WAIT = ["wait", "--backend=kubernetes"]


def test_progress_then_logs_then_the_condition_decides(cluster_backend, api, lines):
    cluster_backend.submit(spec())
    put(api, running(0))
    api.logs[f"{PODS}/cpu-smoke-0-eeeee/log"] = [
        "2026-01-01T00:00:01Z step 1\n",
        "2026-01-01T00:00:01Z step 1\n2026-01-01T00:00:02Z step 2\n",
    ]
    api.logs[f"{PODS}/cpu-smoke-1-eeeee/log"] = ["2026-01-01T00:00:01Z hello\n"]
    polls = iter(range(1000))

    def advance(path: str) -> None:
        if path != f"{JOBS}/cpu-smoke":
            return
        match next(polls):
            case 2:
                put(api, running(1))
            case 30:
                finish(api, "Complete", "CompletionsReached")
                for name, index in (("a", 0), ("b", 1)):
                    api.put(f"{PODS}/{name}", pod(index, "Succeeded", terminated=ended(0)))

    api.on_get = advance
    status = cluster_backend.follow("cpu-smoke", lines.append)
    assert status.phase == "succeeded"
    news = [line for line in lines if line.startswith("[launch]")]
    assert news[:2] == [
        "[launch] cpu-smoke running: 1 of 2 running",
        "[launch] cpu-smoke running: 2 of 2 running",
    ]
    # The stream broke after step 1 and was opened again: every line once, in order.
    assert [line for line in lines if line.startswith("[worker 0]")] == [
        "[worker 0] step 1",
        "[worker 0] step 2",
    ]
    assert lines.count("[worker 1] hello") == 1


def test_a_stream_that_breaks_loses_and_repeats_no_line(cluster_backend, api, lines):
    cluster_backend.submit(spec())
    put(api, running(0))
    # Kubernetes leaves out trailing zeros, and lines of one write share their time.
    log = [
        "2026-01-01T00:00:01.5Z a\n",
        "2026-01-01T00:00:01.500000001Z b\n",
        "2026-01-01T00:00:01.500000001Z c\n",
        "2026-01-01T00:00:01.51Z d\n",
        "2026-01-01T00:00:02Z e\n",
    ]
    api.logs[f"{PODS}/cpu-smoke-0-eeeee/log"] = [
        "".join(log[:count]) for count in range(1, len(log) + 1)
    ]

    def advance(path: str) -> None:
        if path == f"{JOBS}/cpu-smoke" and "[worker 0] e" in lines:
            finish(api, "Complete", "CompletionsReached")
            put(api, pod(0, "Succeeded", terminated=ended(0)))

    api.on_get = advance
    cluster_backend.follow("cpu-smoke", lines.append, until=time.monotonic() + 30)
    assert [line[-1] for line in lines if line.startswith("[worker 0]")] == list("abcde")


def test_a_stream_that_ends_says_nothing_about_the_job(cluster_backend, api, lines):
    cluster_backend.submit(spec())
    put(api, pod(0, "Failed", terminated=ended(78, message="V=3")))
    api.logs[f"{PODS}/cpu-smoke-0-eeeee/log"] = ["2026-01-01T00:00:01Z V=3\n"]
    finish(api, "Failed", "PodFailurePolicy", "exit code 78 matching FailJob rule")
    status = cluster_backend.follow("cpu-smoke", lines.append)
    assert status.phase == "failed"
    assert "[worker 0] V=3" in lines


def test_the_log_of_a_pod_that_is_gone_is_explained(cluster_backend, api, lines):
    cluster_backend.submit(spec())
    put(api, pod(0, "Failed", terminated=ended(70, message="last words")))
    api.refusals[f"GET {PODS}/cpu-smoke-0-eeeee/log"] = (404, "pods not found")
    cluster_backend.logs("cpu-smoke", lines.append)
    assert lines[0].startswith("[worker 0] the log is gone with its pod or node")
    assert lines[1] == "[worker 0] last words"


def test_a_worker_without_a_log_says_why(cluster_backend, api, lines):
    cluster_backend.submit(spec())
    cluster_backend.logs("cpu-smoke", lines.append)
    put(api, pod(0, "Pending", waiting={"reason": "ImagePullBackOff", "message": "no such tag"}))
    put(api, pod(1, "Pending"))
    cluster_backend.logs("cpu-smoke", lines.append)
    assert lines == [
        "[launch] cpu-smoke starting: 0 of 2 running",
        "[worker 0] no log yet: worker 0: ImagePullBackOff: no such tag "
        "(check --image and the pull secrets of the service account)",
        "[worker 1] no log yet: the worker has not started",
    ]
    for name, index, said in (("other", -1, "no job 'other'"), ("cpu-smoke", 7, "worker 7")):
        with pytest.raises(RunError, match=said):
            cluster_backend.logs(name, lines.append, index)


def test_a_cluster_that_is_away_for_a_while_is_asked_again(cluster_backend, api, lines):
    cluster_backend.submit(spec())
    finish(api, "Complete")
    api.refusals["GET"] = (503, "the server is starting")

    def come_back(tell: str) -> None:
        lines.append(tell)
        api.refusals.clear()

    assert cluster_backend.follow("cpu-smoke", come_back).phase == "succeeded"
    assert lines[0] == (
        f"[launch] the cluster answered 503 to GET {JOBS}/cpu-smoke: "
        "the server is starting; asking again"
    )


def away_from_the_second_look(api) -> None:
    """The first look sees a job that is done; in the middle of the next the cluster goes away."""
    finish(api, "Complete")
    looks = itertools.count(1)

    def go_away(path: str) -> None:
        if path == f"{JOBS}/cpu-smoke" and next(looks) == 2:
            api.refusals["GET"] = (503, "the server is gone")

    api.on_get = go_away


def test_wait_keeps_to_its_time_while_the_cluster_is_away(
    cluster_backend, api, monkeypatch, capsys
):
    cluster_backend.submit(spec())
    monkeypatch.setattr(views, "open_backend", lambda _: cluster_backend)
    api.refusals["GET"] = (503, "the server is gone")
    assert main([*WAIT, "--timeout_secs=0.2", "cpu-smoke"]) == 124
    assert "the server is gone" in capsys.readouterr().err
    api.refusals.clear()
    away_from_the_second_look(api)
    assert main([*WAIT, "--timeout_secs=0.2", "cpu-smoke"]) == 0
    assert "phase         succeeded" in capsys.readouterr().out


@pytest.mark.parametrize("verb", ["wait", "follow"])
def test_the_report_on_an_ended_job_is_asked_for_again(
    cluster_backend, api, monkeypatch, capsys, verb
):
    cluster_backend.submit(spec())
    away_from_the_second_look(api)
    monkeypatch.setattr(views, "open_backend", lambda _: cluster_backend)
    monkeypatch.setattr(views, "_warn", lambda _: api.refusals.clear())
    if verb == "wait":
        assert main([*WAIT, "cpu-smoke"]) == 0
    else:
        assert views.follow_to_end(cluster_backend, "cpu-smoke") == 0
    assert "succeeded" in capsys.readouterr().out


def test_the_retry_budget_is_for_transient_errors_only_and_has_an_end():
    answers: list[ExitCode] = []

    def ask() -> str:
        if answers:
            raise RunError(answers.pop(0), "no")
        return "here"

    answers[:] = [ExitCode.TRANSIENT] * 2
    told: list[str] = []
    assert retry_transient(ask, told.append, 0.001, budget_secs=60) == "here"
    assert told == ["[launch] no; asking again"]
    for code, budget_secs in ((ExitCode.BAD_FLAG, 60), (ExitCode.TRANSIENT, 0)):
        answers[:] = [code] * 2
        with pytest.raises(RunError):
            retry_transient(ask, [].append, 0.001, budget_secs)
        assert answers == [code]
