"""The command line: fast, clear when it refuses, the same job whichever word stands in front."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from command_line import RENDER, TRAINER, container, refused, rendered
from hypothesis import given, settings
from hypothesis import strategies as st

from common import exit_codes
from launch.cli.main import VERBS, main
from launch.local.backend import LocalBackend
from launch.spec.job import JobSpec

STAGE = f"--stage_bytes={10 * 2**30}"


def test_help_comes_at_once_and_imports_nothing_heavy():
    program = (
        "import sys; from launch.cli.main import main; main(['--help']); "
        "heavy = {'tensorflow', 'kubernetes', 'yaml', 'jsonschema', 'fsspec'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    # Processor time, of which a busy machine adds little: under 0.1 s on an idle one.
    before = os.times()
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    after = os.times()
    spent = after.children_user + after.children_system
    assert spent - before.children_user - before.children_system < 1


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_its_flags(verb, capsys):
    assert main([verb, "--help"]) == 0
    assert f"usage: python -m launch {verb}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "shown"),
    [
        (["subnit"], "did you mean 'submit'"),
        (["submit", "--worker=2"], "workers"),
        (["submit", "--workers=two", *TRAINER], "--workers"),
        (["submit", "--workers=0", *TRAINER], "--workers=0 must be at least 1"),
        (["submit", "--backend=cloud", *TRAINER], "--backend"),
        (["submit", "config=digits"], "come after `--`"),
        (["describe"], "takes the name of one job"),
        (["describe", "a", "--", "x"], "takes nothing after"),
        (["list", "x"], "takes no operand"),
        (["lint"], "at least one file"),
        (["lint", "/no/such/file"], "No such file"),
        (["accelerators", "h10"], "did you mean 'h100'"),
        ([*RENDER, "--env=A", *TRAINER], "NAME=VALUE"),
        ([*RENDER, "--env=TF_CONFIG={}", *TRAINER], "sets itself"),
        ([*RENDER, "--secret_env=A=b", *TRAINER], "NAME=SECRET/KEY"),
        ([*RENDER, "--mount_pvc=a:b", *TRAINER], "must start with /"),
        ([*RENDER, "--code=/no/such", *TRAINER], "neither a file nor a folder"),
        ([*RENDER, "--secret_env=A B=c/d", *TRAINER], "not a variable name"),
        ([*RENDER, "--namespace=My Team", *TRAINER], "--namespace: 'My Team'"),
        ([*RENDER, "--mount_pvc=claim:/tmp", *TRAINER], "something else there"),
        ([*RENDER, "--pod_monitor=80", *TRAINER], "from 1024 to 65535"),
        (["submit", "--state_dir=/proc/x", *TRAINER], "/proc/x"),
        (["logs", "--output=json", "a"], "output"),
        ([*RENDER, "--sweep=/no/such", *TRAINER], "No such file"),
        ([*RENDER, "--profile=x", *TRAINER], "--profiles=launch.toml"),
        ([*RENDER, "--", "--config=digits"], "is lost with the pod"),
    ],
)
def test_bad_command_lines_get_one_clear_line(argv, shown, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    code, said = refused(capsys, *argv)
    assert code == 64
    assert shown in said


WORDS = ["--", "--workers=2", "--output=json", "--output", "--accelerator=v5e", "--topology=", "-x"]


WORDS += ["--config=digits", "--image=a:1", "--worker=0", "--env=", "v4", "--profile=", "--name=a"]


HARMLESS = [verb for verb in VERBS if verb not in {"local", "submit", "doctor"}]


@settings(max_examples=300, deadline=None)
@given(
    verb=st.sampled_from(HARMLESS),
    argv=st.lists(st.one_of(st.text(max_size=12), st.sampled_from(WORDS)), max_size=4),
)
def test_no_command_line_ends_in_a_traceback(verb, argv, tmp_path_factory):
    state = f"--state_dir={tmp_path_factory.getbasetemp() / 'none'}"
    seen = [] if verb in {"render", "accelerators", "lint"} else [state]
    assert main([verb, *seen, *argv]) in {0, 1, 64}


def test_render_prints_what_can_be_applied(capsys):
    parsed = rendered(capsys, *RENDER, "--workers=2", *TRAINER)
    assert [one["kind"] for one in parsed] == ["NetworkPolicy", "Service", "Job"]
    assert container(parsed)["args"] == ["--strategy=multi_worker", STAGE, *TRAINER[1:]]


def test_render_prints_one_list_for_programs(capsys):
    assert main([*RENDER, "--workers=2", "--output=json", *TRAINER]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["kind"], found["apiVersion"]) == ("List", "v1")
    assert found["items"] == rendered(capsys, *RENDER, "--workers=2", *TRAINER)


def test_an_experimental_job_says_so(capsys):
    flags = ["--image=lockstep:0.1.0-tpu", "--name=run", "--accelerator=v5e", "--topology=4x4"]
    assert main(["render", *flags, *TRAINER]) == 0
    assert capsys.readouterr().out.startswith("# Experimental")
    assert main(["render", *flags[:-1], "--topology=2x4", *TRAINER]) == 0
    assert "Experimental" not in capsys.readouterr().out


def test_the_users_own_strategy_wins(capsys):
    parsed = rendered(capsys, *RENDER, *TRAINER, "--strategy=mirrored")
    assert container(parsed)["args"] == [STAGE, *TRAINER[1:], "--strategy=mirrored"]


def test_names_are_random_unless_given(capsys):
    flags = ["render", "--image=lockstep:0.1.0-cpu", *TRAINER]
    first, second = (rendered(capsys, *flags)[-1]["metadata"]["name"] for _ in range(2))
    assert first != second
    assert first.startswith("digits-")


def test_accelerators_can_be_read_by_programs(capsys):
    assert main(["accelerators", "v5e", "--output=json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert {"topology": "4x4", "chips": 16, "chips_per_host": 4, "hosts": 4} in row["slices"]


def test_lint_names_the_fault_of_a_file(capsys, tmp_path):
    assert main([*RENDER, *TRAINER]) == 0
    path = tmp_path / "job.yaml"
    path.write_text(capsys.readouterr().out.replace("restartPolicy: Never", "restartPolicy: X"))
    assert main(["lint", str(path)]) == 1
    assert "error: Job/run spec.template.spec.restartPolicy: 'X'" in capsys.readouterr().out


def test_lint_takes_manifests_of_every_kind(capsys, tmp_path):
    path = tmp_path / "foreign.yaml"
    head = "apiVersion: {}\nkind: {}\nmetadata: {{name: x, namespace: y}}\n"
    unknown = head.format("ray.io/v1", "RayJob")
    path.write_text(unknown)
    assert main(["lint", str(path)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("note: RayJob/x: the fields of ray.io/v1 RayJob were not examined")
    assert said.endswith("\nno faults\n")
    job = "{template: {spec: {restartPolicy: Always, containers: [{name: c, image: 'a:1'}]}}}"
    cron = head.format("batch/v1", "CronJob")
    cron += f"spec: {{schedule: '* * * * *', jobTemplate: {{spec: {job}}}}}"
    trains = "{name: c, image: 'a:1', command: [python, -m, trainer]}"
    lasting = (
        head.format("apps/v1", "Deployment")
        + f"spec: {{template: {{spec: {{containers: [{trains}]}}}}}}"
    )
    path.write_text(f"{cron}\n---\n{lasting}")
    assert main(["lint", str(path)]) == 1
    said = capsys.readouterr().out
    assert "CronJob/x spec.jobTemplate.spec.template.spec.restartPolicy: 'Always'" in said
    assert "Deployment/x: starts training again that has ended" in said
    path.write_text("")
    assert "no Kubernetes object" in refused(capsys, "lint", str(path))[1]


def test_a_file_that_is_no_manifest_gets_one_clear_line(capsys, tmp_path):
    for text in ("day: 2026-13-01", "[", "[" * 3000):
        (tmp_path / "job.yaml").write_text(text)
        assert "is not YAML" in refused(capsys, "lint", str(tmp_path / "job.yaml"))[1]


@pytest.mark.parametrize("content", [b"[", b"just text", b"- a", b"day: 2026-13-01", b"\xff\xfe"])
def test_a_broken_kubeconfig_gets_one_clear_line(content, capsys, monkeypatch, tmp_path):
    (tmp_path / "kubeconfig").write_bytes(content)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    code, said = refused(capsys, "list", "--backend=kubernetes")
    assert code == 64
    assert f"{tmp_path / 'kubeconfig'} is no kubeconfig" in said


def test_the_life_of_a_job_can_be_read_by_programs(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    backend = LocalBackend(tmp_path / "state")
    place = [f"--state_dir={tmp_path / 'state'}", "--output=json"]
    program = (sys.executable, "-c", "import time; time.sleep(60)")
    backend.submit(JobSpec(name="job", command=program))

    def answer(verb: str, *flags: str, code: int = 0) -> Any:
        assert main([verb, *place, *flags]) == code
        return json.loads(capsys.readouterr().out)

    assert answer("wait", "job", "--timeout_secs=0.1", code=124)["phase"] in {"starting", "running"}
    assert answer("cancel", "job") == {"name": "job", "cancelled": True}
    assert answer("wait", "job", code=1)["phase"] == "cancelled"
    assert [one["name"] for one in answer("list")] == ["job"]
    assert answer("describe", "job")["detail"] == "cancelled by request"
    assert answer("delete", "job") == {"name": "job", "deleted": True}
    assert answer("list") == []


def test_a_dry_run_of_a_local_job_starts_nothing(capsys, tmp_path):
    state = f"--state_dir={tmp_path}"
    assert main(["submit", state, "--workers=2", "--dry_run=client", *TRAINER]) == 0
    assert capsys.readouterr().out.count("-m trainer --strategy=multi_worker") == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("verb", "phase", "code"),
    [(["local"], "cancelled", 1), (["submit", "--follow"], "running", 130)],
)
def test_ctrl_c_stops_a_foreground_job_and_detaches_from_a_submitted_one(
    verb, phase, code, tmp_path
):
    (tmp_path / "trainer").mkdir()
    (tmp_path / "trainer" / "__init__.py").touch()
    program = "import time; print('up', flush=True); time.sleep(60)"
    (tmp_path / "trainer" / "__main__.py").write_text(program)
    shutil.copy(Path(exit_codes.__file__), tmp_path / "trainer" / "exit_codes.py")
    state = f"--state_dir={tmp_path / 'state'}"
    process = subprocess.Popen(
        [sys.executable, "-m", "launch", *verb, state, "--name=job", "--", "--config=x"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        text=True,
    )
    for line in process.stdout:
        if "up" in line:
            process.send_signal(signal.SIGINT)
            break
    rest = process.stdout.read()
    process.stdout.close()
    assert process.wait(30) == code, rest
    job = LocalBackend(tmp_path / "state")
    assert job.status("job").phase == phase
    job.cancel("job")
    assert job.follow("job", [].append).phase == "cancelled"
