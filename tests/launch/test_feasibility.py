"""What cannot run is refused, with the nearest that can; what can run is not."""

import dataclasses

import pytest

from common.exit_codes import ExitCode, RunError
from launch.lint import lint
from launch.render import manifest
from launch.spec.job import JobSpec, Mount

BASE = JobSpec(
    name="run", args=("--config=digits", "--workdir=gs://BUCKET/run"), image="lockstep:0.1.0-cpu"
)


def change(**fields: object) -> JobSpec:
    return dataclasses.replace(BASE, **fields)


REFUSED = {
    "unknown accelerator": ({"accelerator": "h10"}, "did you mean 'h100'"),
    "GPUs no machine has": ({"accelerator": "h100", "devices_per_worker": 3}, "nearest: 2, 4"),
    "no GPUs": ({"accelerator": "t4"}, "nearest: 1, 2"),
    "topology of no TPU": ({"accelerator": "v5e", "topology": "3x3"}, "nearest: 2x4"),
    "no topology": ({"accelerator": "v5e"}, "needs a topology"),
    "endless topology": ({"accelerator": "v5e", "topology": "9" * 99}, "has no topology"),
    "topology of a GPU": ({"accelerator": "t4", "topology": "2x2"}, "is for TPUs"),
    "GPUs of a TPU": (
        {"accelerator": "v4", "topology": "2x2x1", "devices_per_worker": 4},
        "is for GPUs",
    ),
    "TPU without TensorFlow": ({"accelerator": "v7", "topology": "2x2x1"}, "nearest: v6e, v5p"),
    "GPUs of no plain machine": (
        {"accelerator": "h200", "devices_per_worker": 9, "platform": "plain"},
        "nearest: 7, 8",
    ),
    "topology in capitals": ({"accelerator": "v5e", "topology": "4X4"}, "nearest: 4x4"),
    "microbatches of a slice": (
        {
            "accelerator": "v5e",
            "topology": "4x4",
            "args": (*BASE.args, "--config.virtual_replicas=8"),
        },
        "nearest: --topology=2x2 or --topology=2x4 or --config.virtual_replicas=16",
    ),
    "microbatches of one trial": (
        {
            "accelerator": "l4",
            "devices_per_worker": 2,
            "trials": (("--config.virtual_replicas=3",),),
        },
        "--config.virtual_replicas=2 or --config.virtual_replicas=4",
    ),
    "microbatches beyond counting": (
        {"workers": 3, "args": (*BASE.args, "--config.virtual_replicas=1000000000000")},
        "nearest: --workers=2 or --workers=4",
    ),
    "multislice": ({"accelerator": "v5e", "topology": "2x4", "workers": 2}, "no multislice"),
    "microbatches": (
        {"workers": 3, "args": (*BASE.args, "--config.virtual_replicas=8")},
        "nearest: --workers=2 or --workers=4 or --config.virtual_replicas=6",
    ),
    "image of another accelerator": (
        {"accelerator": "t4", "devices_per_worker": 1},
        "is built for cpu",
    ),
    "latest": ({"image": "lockstep:latest"}, "other than latest"),
    "no tag": ({"image": "host:5000/lockstep"}, "other than latest"),
    "no image": ({"image": ""}, "--image is missing"),
    "workdir in the pod": ({"args": ("--workdir=/tmp/x",)}, "is lost with the pod"),
    "no workdir": ({"args": ()}, "is lost with the pod"),
    "long name": ({"name": "a" * 60}, "leaves room for 55"),
    "long name of many": ({"name": "a" * 55, "workers": 11}, "leaves room for 54"),
    "odd name": ({"name": "Run_1"}, "lower-case"),
    "digit first": ({"name": "1run"}, "starting with a letter"),
    "dash last": ({"name": "run-"}, "lower-case"),
    "negative": ({"max_restarts": -1}, "--max_restarts=-1 must be at least 0"),
    "secret variable": ({"env": (("HUB_TOKEN", "canary"),)}, "--secret_env=HUB_TOKEN"),
    "secret flag": ({"args": (*BASE.args, "--api_key=canary")}, "secret in plain text"),
    "secret URL": ({"args": (*BASE.args, "--data=s3://me:canary@host/x")}, "plain text"),
    "NUL": ({"args": (*BASE.args, "a\0b")}, "NUL"),
    "no UTF-8": ({"args": (*BASE.args, "\udcff")}, "no UTF-8"),
    "secret of a trial": ({"trials": (("--config.api_key=canary",),)}, "secret in plain text"),
    "NUL of a trial": ({"trials": (("--config.run=a\0b",),)}, "NUL"),
    "NUL of a variable": ({"env": (("A", "a\0b"),)}, "NUL"),
    "no UTF-8 of a trial": ({"trials": (("--config.run=\ud800",),)}, "no UTF-8"),
    "no UTF-8 of a variable": ({"env": (("A", "é\udfffé"),)}, "no UTF-8"),
    "sweep of workers": ({"trials": ((),), "workers": 2}, "one worker each"),
    "sweep of JobSets": ({"trials": ((),), "jobset": True}, "--nojobset"),
    "sweep of TrainJobs": ({"trials": ((),), "trainjob": True}, "--notrainjob"),
    "a TrainJob's time to live": ({"trainjob": True, "ttl_hours": 1}, "launch delete"),
}


@pytest.mark.parametrize(("fields", "message"), REFUSED.values(), ids=REFUSED)
def test_impossible_jobs_are_refused_with_the_nearest_possible(fields, message):
    with pytest.raises(RunError) as refused:
        manifest.render(change(**fields))
    assert message in refused.value.reason
    assert refused.value.code == ExitCode.BAD_FLAG
    assert "canary" not in refused.value.reason


@pytest.mark.parametrize(
    ("workdir", "lasts"),
    [
        ("/data", True),
        ("/data/", True),
        ("/data/run", True),
        ("/data2", False),
        ("/data2/run", False),
        ("/dat", False),
        ("/", False),
        ("data/run", False),
        ("/claim/run", True),
        ("/claim2/run", False),
        ("gs://BUCKET/run", True),
        ("", False),
    ],
)
def test_a_workdir_lasts_in_a_bucket_or_below_a_mount_not_beside_it(workdir, lasts):
    mounts = (Mount("gcs", "bucket", "/data"), Mount("pvc", "claim", "/claim"))
    spec = change(args=(f"--workdir={workdir}",), mounts=mounts)
    if lasts:
        assert manifest.render(spec)
        return
    with pytest.raises(RunError, match=f"--workdir={workdir} is lost with the pod"):
        manifest.render(spec)


@pytest.mark.parametrize(("count", "platform"), [(1, "plain"), (7, "plain"), (8, "gke")])
def test_a_worker_takes_a_whole_machine_on_gke_and_a_part_elsewhere(count, platform):
    spec = change(
        accelerator="h200", devices_per_worker=count, platform=platform, image="lockstep:1-gpu"
    )
    [container] = manifest.render(spec)[-1]["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == str(count)


@pytest.mark.parametrize("form", ["jobset", "trainjob"])
def test_the_pods_of_a_jobset_leave_less_room_for_a_name(form):
    assert manifest.render(change(name="a" * 46, **{form: True}))
    with pytest.raises(RunError, match="leaves room for 46"):
        manifest.render(change(name="a" * 47, **{form: True}))


def test_the_longest_pod_name_fits():
    spec = change(name="a" * 54, workers=11)
    assert len(f"{spec.name}-10-abcde") <= 63
    assert lint(manifest.render(spec)) == []
