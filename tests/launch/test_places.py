"""Where a job may run and write: taints, devices, addresses, processors, workdirs, claims."""

import dataclasses

import pytest
from fake_cluster import JOBS, spec

from common.exit_codes import ExitCode, RunError
from launch.kubernetes.diagnosis import diagnose
from launch.render import manifest
from launch.spec import parts
from launch.spec.job import JobSpec
from launch.spec.parts import Mount, Resource

BASE = JobSpec(
    name="run", args=("--config=digits", "--workdir=gs://BUCKET/run"), image="lockstep:0.1.0-cpu"
)
BAD = {
    "toleration": ("=train", "a:Never", ":NoSchedule"),
    "egress": ("proxy:3128", "10.0.0.1", "10.0.0.1:0", "10.0.0.1:99999", "10.0.0.1/8:80", ""),
    "resource": ("gpu:1", "amd.com/gpu", "amd.com/gpu:0", "amd.com/gpu:x", "amd.com/:1", "/gpu:1"),
}


@pytest.mark.parametrize(("flag", "text"), [(f, t) for f, texts in BAD.items() for t in texts])
def test_a_malformed_place_is_refused_by_its_flag(flag, text):
    with pytest.raises(RunError, match=f"--{flag}=") as refused:
        getattr(parts, f"read_{flag}")(flag, text)
    assert refused.value.code == ExitCode.BAD_FLAG


@pytest.mark.parametrize("workdir", ["file:///data/run", "local:///data/run", "memory://run", "/x"])
def test_a_workdir_that_is_lost_with_the_pod_is_refused(workdir):
    mounted = dataclasses.replace(
        BASE, args=(f"--workdir={workdir}",), mounts=(Mount("pvc", "claim", "/data"),)
    )
    with pytest.raises(RunError, match="lost with the pod"):
        manifest.render(mounted)
    manifest.render(dataclasses.replace(mounted, args=("--workdir=/data/run",)))


def test_a_device_that_only_its_plugin_names_is_driven_as_gpus_are():
    amd = dataclasses.replace(
        BASE, image="mine:1-rocm", workers=2, resource=(Resource("amd.com/gpu", 4),)
    )
    assert (amd.kind, amd.devices, amd.replicas) == ("gpu", 4, 8)
    with pytest.raises(RunError, match=r"--resource=amd.com/gpu needs the TensorFlow of a gpu"):
        manifest.render(dataclasses.replace(amd, image="lockstep:0.1.0-cpu"))
    odd = dataclasses.replace(amd, args=(*amd.args, "--config.virtual_replicas=12"))
    with pytest.raises(RunError, match="over 8 replicas; nearest: --workers=1 or --workers=3"):
        manifest.render(odd)


def test_what_a_place_does_not_give_is_said():
    assert manifest.remark(BASE) == ""
    spot = dataclasses.replace(BASE, spot=True)
    assert "gives 15 s from SIGTERM" in manifest.remark(spot)
    assert "--grace_secs=60 holds for drains alone" in manifest.remark(spot)
    assert manifest.remark(dataclasses.replace(spot, grace_secs=15)) == ""
    assert manifest.remark(dataclasses.replace(spot, platform="plain")) == ""
    claim = dataclasses.replace(BASE, mounts=(Mount("pvc", "disk", "/data"),))
    assert manifest.remark(claim) == ""
    several = dataclasses.replace(claim, workers=3)
    assert manifest.remark(several) == "disk must be ReadWriteMany: 3 pods mount it."


def test_the_coordinator_of_a_slice_is_never_privileged():
    slice_ = dataclasses.replace(
        BASE, image="a:1-tpu", accelerator="v5e", topology="4x4", privileged="tpu"
    )
    [*_, jobset] = manifest.render(slice_)
    found = {}
    for group in jobset["spec"]["replicatedJobs"]:
        [container] = group["template"]["spec"]["template"]["spec"]["containers"]
        found[group["name"]] = container["securityContext"].get("privileged", False)
    assert found == {"host": True, "coordinator": False}


def test_a_workdir_behind_a_space_is_shown():
    [*_, job] = manifest.render(dataclasses.replace(BASE, args=("--workdir", "gs://BUCKET/spaced")))
    assert diagnose(job, []).workdir == "gs://BUCKET/spaced"


def test_results_on_a_claim_are_not_read_from_this_machine(cluster_backend, api, tmp_path):
    (tmp_path / "trial-0").mkdir()
    (tmp_path / "trial-0/summary.json").write_text('{"eval": {"accuracy": 1.0}}')
    trials = ((f"--workdir={tmp_path}/trial-0",),)
    cluster_backend.submit(dataclasses.replace(spec("sweep"), trials=trials))
    api.objects[f"{JOBS}/sweep"]["status"] = {"completedIndexes": "0"}
    [line] = cluster_backend.report("sweep").trials
    assert "accuracy" not in line
    assert "lies on a volume of the cluster, which is not read from here" in line
