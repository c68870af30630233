"""`migrate`: a TFJob becomes flags of `submit`; every field is carried over, settled or named."""

import copy
import shlex
from typing import Any

import pytest
import yaml

from common.exit_codes import RunError
from launch.cli.flags import spec_from
from launch.cli.main import main, parse
from launch.render import manifest
from launch.spec.parts import Mount, SecretVariable, Toleration
from launch.spec.tfjob import migrate

POD = {
    "spec": {
        "serviceAccountName": "robot",
        "priorityClassName": "high",
        "runtimeClassName": "nvidia",
        "terminationGracePeriodSeconds": 30,
        "nodeSelector": {"cloud.google.com/gke-accelerator": "nvidia-l4", "zone": "a"},
        "tolerations": [{"key": "dedicated", "operator": "Equal", "value": "x"}],
        "volumes": [
            {"name": "data", "persistentVolumeClaim": {"claimName": "claim"}},
            {"name": "shm", "emptyDir": {"medium": "Memory"}},
        ],
        "containers": [
            {
                "name": "tensorflow",
                "image": "mine:1-gpu",
                "command": ["python", "/app/train.py"],
                "args": ["--lr=0.1"],
                "env": [
                    {"name": "A", "value": "x y"},
                    {
                        "name": "HUB",
                        "valueFrom": {"secretKeyRef": {"name": "hub", "key": "token"}},
                    },
                ],
                "ports": [{"containerPort": 2222}],
                "resources": {"limits": {"nvidia.com/gpu": 2, "cpu": "7500m", "memory": "12Gi"}},
                "volumeMounts": [
                    {"name": "data", "mountPath": "/data"},
                    {"name": "shm", "mountPath": "/dev/shm"},
                ],
            }
        ],
    }
}
TFJOB: dict[str, Any] = {
    "apiVersion": "kubeflow.org/v1",
    "kind": "TFJob",
    "metadata": {
        "name": "old",
        "namespace": "team",
        "labels": {"kueue.x-k8s.io/queue-name": "training"},
    },
    "spec": {
        "runPolicy": {
            "cleanPodPolicy": "Running",
            "activeDeadlineSeconds": 7201,
            "ttlSecondsAfterFinished": 3600,
            "backoffLimit": 4,
        },
        "tfReplicaSpecs": {
            "Chief": {"replicas": 1, "restartPolicy": "OnFailure", "template": POD},
            "Worker": {"replicas": 3, "restartPolicy": "OnFailure", "template": POD},
        },
    },
}


def changed(**spec: Any) -> dict[str, Any]:
    made = copy.deepcopy(TFJOB)
    made["spec"]["tfReplicaSpecs"] |= spec
    return made


def test_every_field_arrives_in_the_job_that_its_flags_make():
    found = migrate(TFJOB)
    trainer = ["--", "--config=digits", "--workdir=gs://BUCKET/run"]
    job = spec_from(parse("render", [*found.flags, *trainer]), ("python", "-m", "trainer"))
    assert found.program == ("python", "/app/train.py", "--lr=0.1")
    assert (job.name, job.namespace, job.queue, job.workers) == ("old", "team", "training", 4)
    assert (job.deadline_hours, job.ttl_hours, job.max_restarts, job.grace_secs) == (3, 1, 4, 30)
    assert (job.image, job.accelerator, job.devices_per_worker) == ("mine:1-gpu", "l4", 2)
    assert (job.cpus, job.memory_gib) == (8, 12)
    assert (job.service_account, job.priority_class, job.runtime_class) == (
        "robot",
        "high",
        "nvidia",
    )
    assert job.env == (("A", "x y"),)
    assert job.secret_env == (SecretVariable("HUB", "hub", "token"),)
    assert job.mounts == (Mount("pvc", "claim", "/data"),)
    assert job.node_selector == (("zone", "a"),)
    assert job.toleration == (Toleration("dedicated", "x"),)
    assert manifest.render(job)


def test_what_needs_no_counterpart_says_why_and_nothing_else_is_left():
    remarks = migrate(TFJOB).remarks
    assert {remark.partition(":")[0].rpartition(".")[2] for remark in remarks} == {
        "cleanPodPolicy",
        "restartPolicy",
        "ports",
    }
    assert not [remark for remark in remarks if "no counterpart" in remark]


def test_every_other_leaf_is_named_by_its_path():
    other = copy.deepcopy(POD)
    pod = other["spec"]
    pod["hostIPC"] = True
    pod["containers"][0]["env"].append(
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
    )
    pod["containers"].append({"name": "side", "image": "s:1"})
    pod["volumes"].append({"name": "host", "hostPath": {"path": "/x"}})
    page = "\n".join(
        migrate(changed(Chief={"template": other}, Worker={"template": other})).remarks
    )
    root = "spec.tfReplicaSpecs.Chief.template.spec"
    for path in (
        f"{root}.hostIPC=True",
        f"{root}.containers[0].env[0].valueFrom.fieldRef.fieldPath='status.podIP'",
        f"{root}.containers[1].image='s:1'",
        f"{root}.volumes[0].hostPath.path='/x'",
    ):
        assert f"{path} has no counterpart" in page


def test_workers_that_differ_from_the_chief_are_named_and_servers_are_explained():
    other = copy.deepcopy(POD)
    other["spec"]["containers"][0]["image"] = "mine:2-gpu"
    found = migrate(changed(Worker={"replicas": 2, "template": other}, PS={"replicas": 1}))
    page = "\n".join(found.remarks)
    assert "Worker.template.spec.containers[0].image='mine:2-gpu' has no counterpart" in page
    assert "spec.tfReplicaSpecs.PS: there are no parameter servers" in page
    assert "--workers=3" in found.flags


def test_a_gpu_without_a_label_is_asked_for_by_its_plugins_name():
    plain = copy.deepcopy(POD)
    plain["spec"].pop("nodeSelector")
    flags = migrate(changed(Chief={"template": plain}, Worker={"template": plain})).flags
    assert "--resource=nvidia.com/gpu:2" in flags


def test_every_unit_of_kubernetes_is_read_and_what_is_none_is_one_line():
    def flags(memory: str) -> tuple[str, ...]:
        pod = copy.deepcopy(POD)
        pod["spec"]["containers"][0]["resources"] = {"limits": {"memory": memory}}
        return migrate(changed(Chief={"template": pod}, Worker={"template": pod})).flags

    for text, gib in (("1T", 932), ("2e9", 2), ("1Pi", 2**20), ("512Mi", 1)):
        assert f"--memory_gib={gib}" in flags(text)
    with pytest.raises(RunError, match="memory: '16GB' is no quantity"):
        flags("16GB")


@pytest.mark.parametrize("form", ["text", "json"])
def test_the_verb_prints_a_command_that_is_understood(tmp_path, capsys, form):
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(TFJOB))
    assert main(["migrate", f"--output={form}", str(tmp_path / "job.yaml")]) == 0
    shown = capsys.readouterr().out
    if form == "text":
        words = shlex.split(shown.replace("\\\n", ""), comments=True)
        assert words[:4] == ["python", "-m", "launch", "submit"]
        assert parse("submit", words[4:]).env == ["A=x y"]
        assert "# EXPERIMENT takes the place of: python /app/train.py --lr=0.1" in shown
    (tmp_path / "none.yaml").write_text("kind: Job\n")
    assert main(["migrate", str(tmp_path / "none.yaml")]) == 64
    assert "no TFJob is in there" in capsys.readouterr().err


@pytest.mark.parametrize("tfjob", [{}, {"kind": "TFJob", "spec": {"tfReplicaSpecs": {}}}])
def test_a_job_of_nothing_becomes_one_worker(tfjob):
    assert migrate(tfjob).flags == ("--workers=1",)
