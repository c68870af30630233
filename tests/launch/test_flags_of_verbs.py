"""Each flag that is no job's own does what it says, on the command line and to its end."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import test_plan
import test_preflight
import test_watch
import yaml
from command_line import RENDER, TRAINER
from fake_api_server import FakeApiServer
from fake_cluster import JOBS, PODS, finish, pod, put, running, spec

from launch.cli import flags
from launch.cli.main import VERBS, main
from launch.local import job_folder
from launch.local.backend import LocalBackend

CLUSTER = "--backend=kubernetes"
SUBMIT = ["--image=lockstep:0.1.0-cpu", "--name=cpu-smoke", "--workers=2"]


@pytest.fixture
def elsewhere(api: FakeApiServer, tmp_path: Path) -> Iterator[FakeApiServer]:
    """A second cluster, which the kubeconfig calls `other`."""
    server = FakeApiServer()
    path = tmp_path / "kubeconfig"
    known = json.loads(path.read_text())
    known["clusters"].append({"name": "other", "cluster": {"server": server.url}})
    known["contexts"].append({"name": "other", "context": {"cluster": "other", "user": "me"}})
    path.write_text(json.dumps(known))
    yield server
    server.stop()


def local_job(backend: LocalBackend, job, name: str = "job", **fields: object) -> None:
    # Worker 0 has come to its end before worker 1 fails: a failure stops the others at once.
    fails = ("1@*:await=runs/job/summary.json", "1@*:exit=78")
    backend.submit(job(name, "*@*:print=here", *fails, workers=2, **fields))
    backend.follow(name, [].append)


def test_context_chooses_the_cluster(elsewhere, api, capsys):
    assert main(["list", CLUSTER, "--context=other"]) == 0
    assert elsewhere.requests
    assert not api.requests
    assert main(["list", CLUSTER, "--context=nowhere"]) == 64
    assert "nowhere" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["list", "describe", "logs", "wait", "cancel", "delete"])
def test_namespace_is_where_jobs_are_looked_for(api, verb, capsys):
    operand = [] if verb == "list" else ["cpu-smoke"]
    for given, namespace in (([], "lockstep"), (["--namespace=team"], "team")):
        api.requests.clear()
        main([verb, CLUSTER, *given, *operand])
        paths = [path for _, path, _ in api.requests]
        assert paths
        assert all(f"/namespaces/{namespace}/" in path for path in paths)


def test_namespace_is_where_a_job_is_made(api):
    assert main(["submit", CLUSTER, "--namespace=team", *SUBMIT, *TRAINER]) == 0
    assert len(api.objects) == 3
    assert all("/namespaces/team/" in path for path in api.objects)


def test_backend_is_this_machine_unless_it_is_named(api, backend, tmp_path, capsys):
    assert main(["list", f"--state_dir={tmp_path / 'state'}"]) == 0
    assert not api.requests
    assert main(["list", CLUSTER]) == 0
    assert api.requests


def test_state_dir_is_where_local_jobs_are_kept(backend, job, tmp_path, capsys, monkeypatch):
    local_job(backend, job)
    place = f"--state_dir={tmp_path / 'state'}"
    assert main(["list", place]) == 0
    assert "job" in capsys.readouterr().out
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    assert main(["list"]) == 0
    assert "job" not in capsys.readouterr().out
    assert job_folder.default_root() == tmp_path / "xdg" / "lockstep" / "jobs"
    assert main(["local", place, "--name=here", "--nocheck", "--", "--no_such_flag"]) == 1
    assert (tmp_path / "state" / "here").is_dir()


@pytest.mark.parametrize("verb", ["list", "describe", "wait", "cancel", "delete"])
def test_output_is_the_form_of_the_answer(backend, job, tmp_path, capsys, verb):
    local_job(backend, job)
    argv = [verb, f"--state_dir={tmp_path / 'state'}", *([] if verb == "list" else ["job"])]
    shown = {}
    for form in ("text", "json", "yaml"):
        if verb == "delete" and form != "text":
            local_job(backend, job)
        main([*argv, f"--output={form}"])
        shown[form] = capsys.readouterr().out
    first = [json.loads(shown["json"]), yaml.safe_load(shown["yaml"])]
    for one in (value[0] if verb == "list" else value for value in first):
        assert one["name"] == "job"
        one.pop("created", None)
    assert first[0] == first[1]
    assert "job" in shown["text"]
    with pytest.raises(ValueError, match="Expecting value"):
        json.loads(shown["text"])


def test_output_of_doctor_and_lint_is_for_programs_too(tmp_path, capsys):
    main(["doctor", f"--state_dir={tmp_path}", "--output=json"])
    assert {"what", "ok", "detail"} == set(json.loads(capsys.readouterr().out)[0])
    (tmp_path / "job.yaml").write_text("kind: Job")
    assert main(["lint", str(tmp_path / "job.yaml"), "--output=json"]) == 1
    assert {"level", "where", "problem", "fix"} == set(json.loads(capsys.readouterr().out)[0])


def test_dry_run_starts_nothing(api, backend, tmp_path, capsys):
    state = f"--state_dir={tmp_path / 'state'}"
    for form in ("client", "server"):
        assert main(["submit", state, "--name=dry", f"--dry_run={form}", *TRAINER]) == 0
        assert "-m trainer" in capsys.readouterr().out
        assert main(["submit", CLUSTER, f"--dry_run={form}", *SUBMIT, *TRAINER]) == 0
    assert "Job/cpu-smoke: accepted" in capsys.readouterr().out
    assert not (tmp_path / "state").exists()
    assert not api.objects
    assert all(path.endswith("(dry run)") for path in api.sent("POST"))


def test_follow_prints_logs_until_a_local_job_ends(backend, job, tmp_path, capsys):
    local_job(backend, job)
    argv = ["logs", f"--state_dir={tmp_path / 'state'}", "job"]
    assert main(argv) == 0
    assert "[worker 0] here" in capsys.readouterr().out
    assert main([*argv, "--follow"]) == 1  # as the job ended
    assert "[launch] job failed" in capsys.readouterr().out


def test_follow_prints_logs_until_the_job_of_a_cluster_ends(api, capsys):

    def end(path: str) -> None:
        if path == f"{JOBS}/cpu-smoke" and path in api.objects:
            finish(api, "Complete", "CompletionsReached")

    api.on_get = end
    assert main(["submit", CLUSTER, "--follow", *SUBMIT, *TRAINER]) == 0
    assert "[launch] cpu-smoke succeeded" in capsys.readouterr().out


def test_worker_chooses_one_log(backend, job, tmp_path, capsys, api):
    local_job(backend, job)
    assert main(["submit", CLUSTER, *SUBMIT, *TRAINER]) == 0
    capsys.readouterr()
    for index in range(2):
        put(api, running(index))
        api.logs[f"{PODS}/cpu-smoke-{index}-eeeee/log"] = ["here\n"]
    for argv in (
        ["logs", f"--state_dir={tmp_path / 'state'}", "job"],
        ["logs", CLUSTER, "cpu-smoke"],
    ):
        for given, workers in (([], {0, 1}), (["--worker=0"], {0}), (["--worker=1"], {1})):
            assert main([*argv, *given]) == 0
            shown = set(capsys.readouterr().out.splitlines())
            assert shown == {f"[worker {index}] here" for index in workers}
        assert main([*argv, "--worker=2"]) == 64
        assert "--worker" in capsys.readouterr().err


def test_timeout_secs_ends_the_waiting(api, cluster_backend):
    cluster_backend.submit(spec())
    assert main(["wait", CLUSTER, "--timeout_secs=0.1", "cpu-smoke"]) == 124
    put(api, pod(0, "Succeeded"))
    finish(api, "Complete")
    assert main(["wait", CLUSTER, "cpu-smoke"]) == 0


def test_schemas_can_be_left_out(tmp_path, capsys):
    assert main([*RENDER, *TRAINER]) == 0
    path = tmp_path / "job.yaml"
    path.write_text(
        capsys.readouterr().out.replace("completionMode:", "compeltionMode: 1\n  completionMode:")
    )
    assert main(["lint", str(path)]) == 1
    assert "compeltionMode" in capsys.readouterr().out
    assert main(["lint", "--noschemas", str(path)]) == 0


def test_strict_fails_for_style_too(tmp_path, capsys):
    assert main([*RENDER, *TRAINER]) == 0
    path = tmp_path / "job.yaml"
    path.write_text(capsys.readouterr().out.replace("enableServiceLinks: false", ""))
    assert main(["lint", "--noschemas", str(path)]) == 0
    assert "style: Job/run spec.template.spec.enableServiceLinks" in capsys.readouterr().out
    assert main(["lint", "--noschemas", "--strict", str(path)]) == 1
    capsys.readouterr()
    path.write_text(path.read_text().replace("managed-by: lockstep", "managed-by: us"))
    assert main(["lint", "--noschemas", str(path)]) == 0
    assert "style" not in capsys.readouterr().out
    assert main(["lint", "--noschemas", "--strict", str(path)]) == 1


def test_lint_asks_the_cluster_for_what_the_files_do_not_hold(elsewhere, api, tmp_path, capsys):
    assert main([*RENDER, *TRAINER]) == 0
    path = tmp_path / "job.yaml"
    path.write_text(capsys.readouterr().out)
    argv = ["lint", "--noschemas", str(path)]
    assert main(argv) == 0
    assert "note: Job/run spec.template.spec.serviceAccountName" in capsys.readouterr().out
    assert not api.requests
    assert main([*argv, "--cluster"]) == 1
    assert "no ServiceAccount 'trainer' in the files or in the cluster" in capsys.readouterr().out
    accounts = "/api/v1/namespaces/{}/serviceaccounts/trainer"
    api.put(accounts.format("lockstep"), {"kind": "ServiceAccount"})
    assert main([*argv, "--cluster"]) == 0
    assert main([*argv, "--cluster", "--context=other"]) == 1
    assert elsewhere.requests
    path.write_text(path.read_text().replace("  namespace: lockstep\n", ""))
    api.put(accounts.format("team"), {"kind": "ServiceAccount"})
    assert main([*argv, "--cluster", "--namespace=nobody"]) == 1
    assert main([*argv, "--cluster", "--namespace=team"]) == 0


def test_path_is_looked_for_by_doctor(tmp_path, capsys):
    (tmp_path / "there").touch()
    argv = ["doctor", f"--state_dir={tmp_path}", f"--path={tmp_path}/there"]
    assert main(argv) == 0
    assert f"ok    path {tmp_path}/there: exists" in capsys.readouterr().out
    assert main([*argv, f"--path={tmp_path}/gone"]) == 1
    assert f"FAIL  path {tmp_path}/gone: does not exist (--path)" in capsys.readouterr().out


SHOWN_BY = {
    "backend": test_backend_is_this_machine_unless_it_is_named,
    "cluster": test_lint_asks_the_cluster_for_what_the_files_do_not_hold,
    "strict": test_strict_fails_for_style_too,
    "check": test_preflight.test_a_bad_config_leaves_no_job_behind,
    "context": test_context_chooses_the_cluster,
    "dry_run": test_dry_run_starts_nothing,
    "follow": test_follow_prints_logs_until_a_local_job_ends,
    "like": test_plan.test_an_earlier_run_tells_the_time_and_the_cost,
    "price_per_hour": test_plan.test_an_earlier_run_tells_the_time_and_the_cost,
    "yes": test_plan.test_somebody_is_asked_on_a_terminal_and_a_program_is_not,
    "namespace": test_namespace_is_where_jobs_are_looked_for,
    "output": test_output_is_the_form_of_the_answer,
    "port": test_watch.test_tensorboard_shows_the_curves_of_a_job,
    "shell": test_watch.test_attach_opens_a_shell_beside_the_worker,
    "path": test_path_is_looked_for_by_doctor,
    "schemas": test_schemas_can_be_left_out,
    "state_dir": test_state_dir_is_where_local_jobs_are_kept,
    "timeout_secs": test_timeout_secs_ends_the_waiting,
    "worker": test_worker_chooses_one_log,
}


def test_every_flag_that_is_no_jobs_own_has_its_test():
    names = ("ATTACH", "BACKEND", "CHECK", "DOCTOR", "LINT", "LOGS", "OUTPUT", "STATE", "SUBMIT")
    names += ("TENSORBOARD", "TIMEOUT", "TOP")
    defined = {flag for name in names for flag in getattr(flags, name)}
    taken = {flag for verb in VERBS.values() for flag in verb.flags}
    assert taken == defined | set(flags.JOB)
    assert {flag.name for flag in defined} == set(SHOWN_BY)
