"""Each flag of a job sets its field and no other; what no flag sets is the field's own default."""

import dataclasses
from pathlib import Path

import pytest

from launch.cli.flags import JOB, spec_from
from launch.cli.main import parse
from launch.code import upload
from launch.spec.halving import Halving
from launch.spec.job import JobSpec
from launch.spec.parts import Egress, Mount, Requirements, Resource, SecretVariable, Toleration

TRAINER = ("--config=digits", "--workdir=gs://BUCKET/run")
COMMAND = ("python", "-m", "trainer")
DEFAULT = JobSpec(name="run", args=TRAINER, command=COMMAND)
TWICE = ["--env=A=1", "--env=B=x=y", "--secret_env=T=hub/key/x", "--secret_env=U=hub/k"]
MOUNTS = ["--mount_gcs=b:/b", "--mount_pvc=c:/c/", "--mount_pvc=d:/d:x"]
SECRETS = (SecretVariable("T", "hub", "key/x"), SecretVariable("U", "hub", "k"))
# What is typed, and the fields that it changes.
SET = {
    "name": (["--name=other"], {"name": "other"}),
    "image": (["--image=a:1"], {"image": "a:1"}),
    "accelerator": (["--accelerator=l4"], {"accelerator": "l4"}),
    "topology": (["--topology=2x4"], {"topology": "2x4"}),
    "platform": (["--platform=plain"], {"platform": "plain"}),
    "privileged": (["--privileged=tpu"], {"privileged": "tpu"}),
    "namespace": (["--namespace=team"], {"namespace": "team"}),
    "service_account": (["--service_account=me"], {"service_account": "me"}),
    "workload_identity": (["--workload_identity=a@b"], {"workload_identity": "a@b"}),
    "queue": (["--queue=q"], {"queue": "q"}),
    "priority_class": (["--priority_class=high"], {"priority_class": "high"}),
    "workers": (["--workers=5"], {"workers": 5}),
    "devices_per_worker": (["--devices_per_worker=2"], {"devices_per_worker": 2}),
    "cpus": (["--cpus=7"], {"cpus": 7}),
    "memory_gib": (["--memory_gib=9"], {"memory_gib": 9}),
    "scratch_gib": (["--scratch_gib=11"], {"scratch_gib": 11}),
    "max_restarts": (["--max_restarts=0"], {"max_restarts": 0}),
    "deadline_hours": (["--deadline_hours=13"], {"deadline_hours": 13}),
    "grace_secs": (["--grace_secs=14"], {"grace_secs": 14}),
    "ttl_hours": (["--ttl_hours=15"], {"ttl_hours": 15}),
    "pod_monitor": (["--pod_monitor=9100"], {"pod_monitor": 9100}),
    "parallel_trials": (["--parallel_trials=4"], {"parallel_trials": 4}),
    "arch": (["--arch=arm64"], {"arch": "arm64"}),
    "toleration": (
        ["--toleration=a=b:NoSchedule", "--toleration=c:NoExecute", "--toleration=d"],
        {
            "toleration": (
                Toleration("a", "b", "NoSchedule"),
                Toleration("c", "", "NoExecute"),
                Toleration("d"),
            )
        },
    ),
    "runtime_class": (["--runtime_class=nvidia"], {"runtime_class": "nvidia"}),
    "resource": (
        ["--resource=amd.com/gpu:4", "--resource=rdma/hca:1"],
        {"resource": (Resource("amd.com/gpu", 4), Resource("rdma/hca", 1))},
    ),
    "egress": (
        ["--egress=10.1.2.3:3128", "--egress=[fd00::]/8:443", "--egress=10.0.0.0/8:80"],
        {
            "egress": (
                Egress("10.1.2.3/32", 3128),
                Egress("fd00::/8", 443),
                Egress("10.0.0.0/8", 80),
            )
        },
    ),
    "spot": (["--spot"], {"spot": True}),
    "jobset": (["--jobset"], {"jobset": True}),
    "trainjob": (["--trainjob"], {"trainjob": True}),
    "env": (TWICE[:2], {"env": (("A", "1"), ("B", "x=y"))}),
    "secret_env": (TWICE[2:], {"secret_env": SECRETS}),
    "mount_pvc": (MOUNTS[1:], {"mounts": (Mount("pvc", "c", "/c"), Mount("pvc", "d", "/d:x"))}),
    "mount_gcs": (MOUNTS[:1], {"mounts": (Mount("gcs", "b", "/b"),)}),
    "node_selector": (
        ["--node_selector=zone=a", "--node_selector=a.b/c=d"],
        {"node_selector": (("zone", "a"), ("a.b/c", "d"))},
    ),
    "requirements": (
        ["--requirements=one.txt"],
        {"requirements": (Requirements(f"six==1.17.0 --hash=sha256:{'0' * 64}\n"),)},
    ),
    "code": (["--code=mine"], {"code": "its files"}),
    "sweep": (
        ["--sweep=sweep.yaml"],
        {
            "trials": (("--config.seed=7", "--workdir=gs://BUCKET/run/trial-0"),),
            "halving": (Halving("loss", 9),),
        },
    ),
    "profile": (["--profile=big"], {"spot": True, "workers": 3, "env": (("A", "1"),)}),
    "profiles": (["--profiles=other.toml", "--profile=big"], {"jobset": True}),
}


@pytest.fixture
def spec_of(tmp_path, monkeypatch):
    """Builds the job of a command line in a folder that has all files which flags name."""
    monkeypatch.chdir(tmp_path)
    Path("mine").mkdir()
    Path("mine/a.py").write_text("x = 1\n")
    Path("one.txt").write_text(f"six==1.17.0 --hash=sha256:{'0' * 64}\n")
    Path("sweep.yaml").write_text("{list: [{seed: 7}], halving: {metric: loss, train_steps: 9}}")
    Path("launch.toml").write_text('[big]\nspot = true\nworkers = 3\nenv = ["A=1"]\n')
    Path("other.toml").write_text("[big]\njobset = true\n")

    def build(*argv: str, trainer: tuple[str, ...] = TRAINER) -> JobSpec:
        return spec_from(parse("render", [*argv, "--", *trainer]), COMMAND)

    return build


def test_every_flag_of_a_job_has_a_row():
    assert set(SET) == {flag.name for flag in JOB}
    fields = {field for _, changes in SET.values() for field in changes}
    assert fields == {field.name for field in dataclasses.fields(JobSpec)} - {"args", "command"}


@pytest.mark.parametrize("flag", SET)
def test_a_flag_sets_its_field_and_no_other(spec_of, flag):
    argv, changes = SET[flag]
    if flag == "code":
        changes = {"code": upload.collect("mine", ())[0]}
    named = argv if flag == "name" else ["--name=run", *argv]
    assert spec_of(*named) == dataclasses.replace(DEFAULT, **changes)


def test_without_flags_every_field_has_its_own_default(spec_of):
    assert spec_of("--name=run") == DEFAULT


def test_claims_come_before_buckets(spec_of):
    found = [(mount.kind, mount.source) for mount in spec_of(*MOUNTS).mounts]
    assert found == [("pvc", "c"), ("pvc", "d"), ("gcs", "b")]


def test_the_command_line_wins_over_the_profile(spec_of):
    found = spec_of("--profile=big", "--name=run", "--workers=5", "--nospot", "--env=B=2")
    assert (found.workers, found.spot, found.env) == (5, False, (("B", "2"),))


def test_a_sweep_without_workdir_gets_that_of_its_name(spec_of):
    found = spec_of("--name=run", "--sweep=sweep.yaml", trainer=("--config=digits",))
    assert found.trials == (("--config.seed=7", "--workdir=runs/run/trial-0"),)
