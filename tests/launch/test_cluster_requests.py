"""The client over HTTP: what is sent, and what is made of a refusal.

The server is a stand-in (fake_api_server.py): it proves requests and answers. Admission, RBAC and
controllers are real in tests/control_plane only.
"""

import dataclasses

import pytest
from fake_cluster import JOBS, finish, put, running, spec

from common.exit_codes import ExitCode, RunError
from launch.cli.main import main


def test_everything_is_asked_before_anything_is_created(cluster_backend, api):
    cluster_backend.submit(spec())
    posts = api.sent("POST")
    assert len(posts) == 6
    assert all(path.endswith("(dry run)") for path in posts[:3])
    assert posts[3:] == [path.removesuffix(" (dry run)") for path in posts[:3]]
    assert posts[-1] == JOBS


def test_the_job_owns_what_was_made_for_it(cluster_backend, api):
    cluster_backend.submit(spec())
    uid = api.objects[f"{JOBS}/cpu-smoke"]["metadata"]["uid"]
    others = [one for path, one in api.objects.items() if not path.startswith(JOBS)]
    assert len(others) == 2
    for document in others:
        [owner] = document["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["uid"]) == ("Job", uid)


def test_a_refusal_leaves_nothing_behind(cluster_backend, api):
    api.refusals[f"POST {JOBS}"] = (403, 'admission webhook "policy" denied: no team label')
    with pytest.raises(RunError, match=r"policy of the cluster.*no team label"):
        cluster_backend.submit(spec())
    assert api.objects == {}


def test_what_was_created_before_a_failure_is_removed(cluster_backend, api):
    api.on_post = lambda path, query: (
        (409, "jobs cpu-smoke already exists") if path == JOBS and not query else None
    )
    with pytest.raises(RunError, match="choose another --name"):
        cluster_backend.submit(spec())
    assert api.objects == {}
    assert len(api.sent("DELETE")) == 2


REFUSALS = {
    "login": (401, "Unauthorized", "does not accept the credentials", ExitCode.BAD_FLAG),
    "quota": (403, "pods is forbidden: exceeded quota: gpus", "quota", ExitCode.BAD_FLAG),
    "rights": (403, "jobs is forbidden: User me cannot create", "may not", ExitCode.BAD_FLAG),
    "podsecurity": (403, "violates PodSecurity restricted", "PodSecurity", ExitCode.BAD_FLAG),
    "webhook": (400, "admission webhook x denied the request", "policy", ExitCode.BAD_FLAG),
    "exists": (409, "jobs run already exists", "--name", ExitCode.BAD_FLAG),
    "invalid": (422, "spec.completions: Invalid value", "manifest", ExitCode.BAD_FLAG),
    "overload": (429, "too many requests", "answered 429", ExitCode.TRANSIENT),
    "broken": (500, "etcd is away", "etcd is away", ExitCode.TRANSIENT),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals_are_explained_in_one_line(cluster_backend, api, case):
    status, said, shown, code = REFUSALS[case]
    api.refusals["POST"] = (status, said)
    with pytest.raises(RunError) as refused:
        cluster_backend.submit(spec())
    assert shown in refused.value.reason
    assert said in refused.value.reason
    assert refused.value.code == code
    assert "\n" not in refused.value.reason
    assert "canary" not in refused.value.reason


def test_a_cluster_that_is_away_is_a_transient_error(cluster_backend, api):
    api.stop()
    with pytest.raises(RunError, match="does not answer") as refused:
        cluster_backend.status("cpu-smoke")
    assert refused.value.code == ExitCode.TRANSIENT


def test_cancel_leaves_the_job_for_describe(cluster_backend, api):
    cluster_backend.submit(spec())
    cluster_backend.cancel("cpu-smoke")
    assert api.objects[f"{JOBS}/cpu-smoke"]["spec"]["activeDeadlineSeconds"] == 1
    finish(api, "Failed", "DeadlineExceeded")
    assert cluster_backend.status("cpu-smoke").phase == "cancelled"


def test_cancel_takes_a_waiting_job_out_of_its_queue(cluster_backend, api):
    cluster_backend.submit(spec())
    # The deadline of a suspended Job does not run: Kueue would start the job later.
    api.objects[f"{JOBS}/cpu-smoke"]["spec"]["suspend"] = True
    cluster_backend.cancel("cpu-smoke")
    assert f"{JOBS}/cpu-smoke" not in api.objects


@pytest.mark.parametrize(
    ("name", "condition", "phase"),
    [
        ("cpu-smoke", "Failed", "failed"),
        ("cpu-smoke", "FailureTarget", "running"),
        ("cpu-smoke", "Complete", "succeeded"),
        ("jobset", "Completed", "succeeded"),
    ],
)
def test_cancel_rewrites_no_end(cluster_backend, api, name, condition, phase):
    cluster_backend.submit(spec(name))
    [path] = [path for path in api.objects if path.endswith((f"jobs/{name}", f"jobsets/{name}"))]
    api.objects[path]["status"] = {"conditions": [{"type": condition, "status": "True"}]}
    cluster_backend.cancel(name)
    assert cluster_backend.status(name).phase == phase
    assert "lockstep/cancelled" not in api.objects[path]["metadata"].get("annotations", {})


def test_cancel_deletes_a_jobset_which_has_no_deadline_of_its_own(cluster_backend, api):
    cluster_backend.submit(spec("jobset"))
    cluster_backend.cancel("jobset")
    assert not [path for path in api.objects if "/jobsets/" in path]
    assert api.requests[-1][0] == "DELETE"


def test_delete_removes_in_the_background(cluster_backend, api):
    cluster_backend.submit(spec())
    cluster_backend.delete("cpu-smoke")
    assert f"{JOBS}/cpu-smoke" not in api.objects
    assert api.requests[-1][2] == {"propagationPolicy": "Background"}


def test_list_joins_all_kinds_of_jobs(cluster_backend, api):
    for name in ("cpu-smoke", "jobset", "trainjob"):
        cluster_backend.submit(spec(name))
    found = sorted(status.name for status in cluster_backend.statuses())
    assert found == ["cpu-smoke", "jobset", "trainjob"]


def test_list_shows_the_oldest_job_first_with_its_own_pods(cluster_backend, api):
    for name, second in (("a", 30), ("b", 10), ("c", 20)):
        cluster_backend.submit(dataclasses.replace(spec(), name=name))
        created = f"2026-01-01T00:00:{second}Z"
        api.objects[f"{JOBS}/{name}"]["metadata"]["creationTimestamp"] = created
    mine, another = running(0), running(1)
    mine["metadata"]["labels"]["app.kubernetes.io/instance"] = "c"
    another["metadata"]["labels"]["app.kubernetes.io/managed-by"] = "helm"
    another["metadata"]["labels"]["app.kubernetes.io/instance"] = "b"
    for one in (mine, another):
        put(api, one)
    found = [(status.name, status.detail) for status in cluster_backend.statuses()]
    none, one = "0 of 2 running", "1 of 2 running"
    assert found == [("b", none), ("c", one), ("a", none)]


def test_a_cluster_without_jobset_still_lists_jobs(cluster_backend, api):
    cluster_backend.submit(spec())
    api.refusals["GET /apis/jobset"] = (404, "the server could not find the requested resource")
    api.refusals["GET /apis/trainer"] = (404, "the server could not find the requested resource")
    assert [status.name for status in cluster_backend.statuses()] == ["cpu-smoke"]


def test_an_unknown_job_says_where_it_was_looked_for(cluster_backend, api):
    with pytest.raises(RunError, match="no job 'nothing' in namespace lockstep"):
        cluster_backend.status("nothing")


@pytest.mark.parametrize("manager", ["", "helm"])
@pytest.mark.parametrize("verb", ["status", "cancel", "delete"])
def test_a_job_that_somebody_else_made_is_left_alone(cluster_backend, api, verb, manager):
    labels = {"app.kubernetes.io/managed-by": manager} if manager else {}
    metadata = {"name": "backup", "labels": labels}
    api.put(f"{JOBS}/backup", {"kind": "Job", "metadata": metadata, "spec": {}})
    with pytest.raises(RunError, match="not made by this launcher"):
        getattr(cluster_backend, verb)("backup")
    assert f"{JOBS}/backup" in api.objects


def test_a_name_is_no_path(cluster_backend, api):
    cluster_backend.submit(spec())
    with pytest.raises(RunError, match="no job"):
        cluster_backend.delete("x/../cpu-smoke")
    assert f"{JOBS}/cpu-smoke" in api.objects


def test_a_job_that_runs_but_owns_nothing_says_so(cluster_backend, api):
    api.refusals["PATCH"] = (403, "forbidden")
    with pytest.raises(RunError, match="cpu-smoke was started"):
        cluster_backend.submit(spec())
    assert f"{JOBS}/cpu-smoke" in api.objects


def test_the_command_line_reaches_the_cluster(api, capsys):
    flags = ["--backend=kubernetes", "--image=lockstep:0.1.0-cpu", "--name=cpu-smoke"]
    trainer = ["--", "--config=digits", "--workdir=gs://BUCKET/x"]
    assert main(["submit", *flags, "--dry_run=server", *trainer]) == 0
    assert "Job/cpu-smoke: accepted" in capsys.readouterr().out
    assert api.objects == {}
    assert main(["submit", *flags, *trainer]) == 0
    finish(api, "Failed", "BackoffLimitExceeded")
    assert main(["wait", "--backend=kubernetes", "cpu-smoke"]) == 1
    assert main(["list", "--backend=kubernetes"]) == 0
    assert "cpu-smoke" in capsys.readouterr().out
