"""Who failed first, of three workers and more, in whatever order the server lists them."""

import itertools

import pytest
from fake_cluster import PODS, ended, first_failure, pod, put, running, spec

from launch.kubernetes.diagnosis import diagnose, indexes, trial_lines
from launch.local import history
from launch.local.job_folder import JobFolder
from launch.render import manifest

EVICTED = {
    "phase": "Failed",
    "reason": "Evicted",
    "message": "The node was low on resource: memory",
}


def shown(pods: list[dict]) -> set[str]:
    """What is said of the pods in every order in which they may come."""
    orders = (
        itertools.permutations(pods) if len(pods) < 6 else [pods, pods[::-1], pods[3:] + pods[:3]]
    )
    return {str(first_failure(order)).partition(": ")[0] for order in orders}


def failed(index: int, code: int, second: int, attempt: int = 0) -> dict:
    return pod(index, "Failed", attempt, terminated=ended(code, second))


def test_the_gravest_end_is_named_among_four_and_of_equal_ones_the_first():
    pods = [failed(0, 70, 5), failed(1, 200, 3), failed(2, 137, 2), failed(3, 1, 4)]
    assert shown(pods) == {"worker 3, attempt 0"}


@pytest.mark.parametrize("second", [2, 1, 3], ids=["the same second", "later", "earlier"])
def test_who_lost_a_peer_is_never_the_first(second):
    pods = [failed(0, 201, 2), failed(1, 201, 2), failed(2, 137, second), failed(3, 201, 2)]
    assert shown(pods) == {"worker 2, attempt 0"}


def test_an_evicted_worker_without_an_end_comes_before_those_that_lost_it():
    evicted = pod(2, "Failed")
    evicted["status"] = EVICTED
    pods = [failed(0, 201, 2), failed(1, 201, 2), evicted]
    assert shown(pods) == {"worker 2, attempt 0"}
    assert "Evicted: The node was low on resource" in first_failure(pods).reason


def test_workers_that_only_lost_each_other_are_named_by_their_end():
    assert shown([failed(0, 201, 3), failed(1, 201, 2), failed(2, 143, 1)]) == {
        "worker 1, attempt 0"
    }


def test_attempts_are_counted_by_when_pods_were_made():
    evicted = pod(0, "Failed", 1)
    evicted["status"] = EVICTED
    pods = [failed(0, 200, 1), evicted, failed(0, 65, 30, attempt=2), failed(1, 200, 2)]
    assert shown(pods) == {"worker 0, attempt 2"}


def test_the_newest_attempt_of_three_workers_is_shown():
    pods = [failed(i, code, 9 * k + i, k) for k, code in ((0, 78), (1, 70)) for i in range(3)]
    assert shown(pods) == {"worker 0, attempt 1"}


def test_ten_workers_are_more_than_one(cluster_backend, api, lines):
    cluster_backend.submit(spec())
    for index in (1, 11):
        put(api, running(index))
        api.logs[f"{PODS}/cpu-smoke-{index}-eeeee/log"] = [f"this is {index}\n"]
    cluster_backend.logs("cpu-smoke", lines.append, 1)
    assert lines == ["[worker 1] this is 1"]


def test_the_logs_of_a_worker_come_in_the_order_of_its_attempts(cluster_backend, api, lines):
    cluster_backend.submit(spec())
    for attempt, letter in enumerate("edc"):
        put(api, failed(0, 200, attempt, attempt))
        api.logs[f"{PODS}/cpu-smoke-0-{letter * 5}/log"] = [f"attempt {attempt}\n"]
    cluster_backend.logs("cpu-smoke", lines.append)
    assert lines == [f"[worker 0] attempt {attempt}" for attempt in range(3)]


@pytest.mark.parametrize(
    ("failed", "ended", "restarts"),
    [
        (0, False, 0),
        (1, False, 1),  # its peers are about to follow
        (4, False, 1),
        (5, False, 2),
        (9, False, 3),
        (1, True, 0),
        (4, True, 0),
        (5, True, 1),
        (16, True, 3),
    ],
)
def test_restarts_are_rounds_of_workers_and_the_last_round_of_a_failed_job_is_none(
    failed, ended, restarts
):
    conditions = [{"type": "Failed", "status": "True"}] if ended else []
    job = {
        "kind": "Job",
        "metadata": {"name": "j"},
        "spec": {"parallelism": 4, "backoffLimit": 12},
        "status": {"failed": failed, "conditions": conditions},
    }
    assert diagnose(job, []).restarts == restarts
    assert diagnose(job, []).max_restarts == 3


@pytest.mark.parametrize(
    ("status", "restarts"),
    [({"failed": 5, "failedIndexes": "0,2-3"}, 2), ({"failed": 2}, 2), ({}, 0)],
)
def test_a_trial_that_failed_for_good_was_not_restarted_after_that(status, restarts):
    spec = {"parallelism": 2, "backoffLimitPerIndex": 5}
    job = {"kind": "Job", "metadata": {"name": "j"}, "spec": spec, "status": status}
    found = diagnose(job, [])
    assert (found.restarts, found.max_restarts) == (restarts, 5)


def test_a_jobset_counts_its_own_restarts():
    status = {"restarts": 7, "restartsCountTowardsMax": 2}
    spec = {"failurePolicy": {"maxRestarts": 3}, "replicatedJobs": []}
    jobset = {"kind": "JobSet", "metadata": {"name": "j"}, "spec": spec, "status": status}
    assert (diagnose(jobset, []).restarts, diagnose(jobset, []).max_restarts) == (2, 3)


def test_the_newest_pod_of_a_trial_gives_its_result():
    [_, job] = manifest.render(spec("sweep"))
    pods = [
        failed(0, 200, 1, 0),
        failed(0, 65, 2, 1),
        failed(1, 70, 1, 0),
        pod(1, "Running", 1, running={}),
        failed(2, 202, 3, 0),
        pod(2, "Succeeded", 1, terminated=ended(0, 4)),
    ]
    job["status"] = {"completedIndexes": "2"}
    orders = itertools.permutations(pods)
    [lines] = {trial_lines(job, order, lambda _: '{"eval": {"loss": 1.0}}') for order in orders}
    assert [line.split("  ")[3] for line in lines] == [
        "exit code 65: data corrupt, or every checkpoint corrupt",
        "no result",
        "done loss=1",
    ]


def test_a_trial_whose_pod_is_gone_is_done_by_the_word_of_its_job():
    [_, job] = manifest.render(spec("sweep"))
    job["status"] = {"completedIndexes": "0,2"}
    lines = trial_lines(job, [failed(1, 65, 1, 0)], lambda _: '{"eval": {"loss": 1.0}}')
    ends = ["done loss=1", "exit code 65: data corrupt, or every checkpoint corrupt", "done loss=1"]
    assert [line.split("  ")[3] for line in lines] == ends


def test_indexes_of_kubernetes_short_form():
    assert indexes("") == []
    assert indexes("3") == [3]
    assert indexes("0,2-4,7") == [0, 2, 3, 4, 7]


def test_a_local_worker_that_lost_a_peer_is_never_the_first(tmp_path):
    def exit_of(worker: int, code: int, attempt: int = 0) -> dict:
        name = f"worker {worker}"
        return {
            "event": "exit",
            "worker": name,
            "attempt": attempt,
            "code": code,
            "told_to_stop": False,
        }

    ends = [exit_of(0, 201), exit_of(1, 201), exit_of(2, 137), exit_of(3, 201)]
    for order in itertools.permutations(ends):
        found, _ = history.failures(order, JobFolder(tmp_path))
        assert (found.worker, found.exit_code) == ("worker 2", 137)
    two = [*ends, exit_of(3, 201, 1), exit_of(1, 201, 1)]
    assert history.failures(two, JobFolder(tmp_path))[0].worker == "worker 3"
