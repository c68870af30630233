"""A TFJob of Kubeflow as flags of `submit`, field by field.

Every field is taken out of the document as it is turned into a flag. What is left over at the end
is named by its path: nothing is dropped in silence.
"""

import copy
import dataclasses
import math
from collections.abc import Iterator
from typing import Any

from common.cluster_description import VARIABLE
from launch.spec.accelerators import TABLE
from launch.spec.documents import Document, mapping, mappings
from launch.spec.labels import GCSFUSE, GPU_NODE, QUEUE, RESOURCES
from launch.spec.quantities import worth
from launch.spec.user_input import bad_flag

_HOUR = 3600
# Fields that need no counterpart, and why.
_SETTLED = {
    "cleanPodPolicy": "pods stay until the TTL of their job, for `describe`",
    "successPolicy": "a job has succeeded when its run has written its summary",
    "enableDynamicWorker": "any workers that divide virtual_replicas go on bit for bit",
    "minAvailable": "Kueue admits all workers together (--queue)",
    "suspend": "Kueue suspends and admits (--queue)",
    "restartPolicy": "the exit codes of docs/exit_codes.md decide",
    "ports": "the launcher sets ports and their policy",
    "imagePullPolicy": "an image is named by a tag that does not move, or by its digest",
    "imagePullSecrets": "give them to the service account",
    "status": "of the old job",
    "uid": "of the old job",
    "resourceVersion": "of the old job",
    "creationTimestamp": "of the old job",
    "generation": "of the old job",
    "managedFields": "of the old job",
}
_ROLES = {
    "PS": "there are no parameter servers: every worker holds the weights",
    "Evaluator": "a run evaluates itself (config.eval_every_steps)",
}


@dataclasses.dataclass(frozen=True)
class Migration:
    """What a TFJob becomes.

    Attributes:
        flags: of `submit`.
        program: what each worker ran; it becomes an experiment, and arguments of the trainer.
        remarks: one line for each field that has no counterpart, or needs none.
    """

    flags: tuple[str, ...]
    program: tuple[str, ...]
    remarks: tuple[str, ...]


def migrate(tfjob: Document) -> Migration:
    """The flags that ask for the same, as far as there are some."""
    rest = copy.deepcopy(tfjob)
    for name in ("apiVersion", "kind"):
        rest.pop(name, None)
    kinds = mapping(rest, "spec", "tfReplicaSpecs")
    other = [f"spec.tfReplicaSpecs.{kind}: {_ROLES[kind]}" for kind in _ROLES if kinds.pop(kind, 0)]
    roles = [kind for kind in ("Chief", "Master", "Worker") if kind in kinds]
    workers = sum(int(kinds[kind].pop("replicas", 1)) for kind in roles)
    templates = [mapping(kinds[kind], "template") for kind in roles] or [{}]
    for kind, template in list(zip(roles, templates, strict=False))[1:]:
        if template == templates[0]:
            kinds[kind].pop("template")  # one that differs is named, field by field
    program, of_pod = _of_pod(mapping(templates[0], "spec"))
    flags = [*_of_head(rest), *_of_policy(rest), f"--workers={max(workers, 1)}", *of_pod]
    return Migration(tuple(flags), program, (*other, *_remarks("", rest)))


def _of_head(rest: Document) -> Iterator[str]:
    head = mapping(rest, "metadata")
    if name := head.pop("name", ""):
        yield f"--name={name}"
    if namespace := head.pop("namespace", ""):
        yield f"--namespace={namespace}"
    if queue := mapping(head, "labels").pop(QUEUE, ""):
        yield f"--queue={queue}"


def _of_policy(rest: Document) -> Iterator[str]:
    policy = mapping(rest, "spec", "runPolicy")
    for field, flag, unit in (
        ("activeDeadlineSeconds", "deadline_hours", _HOUR),
        ("ttlSecondsAfterFinished", "ttl_hours", _HOUR),
        ("backoffLimit", "max_restarts", 1),
    ):
        if field in policy:
            yield f"--{flag}={math.ceil(int(policy.pop(field)) / unit)}"
    scheduling = mapping(policy, "schedulingPolicy")
    for field, flag in (("queue", "queue"), ("priorityClass", "priority_class")):
        if field in scheduling:
            yield f"--{flag}={scheduling.pop(field)}"


def _of_pod(pod: Document) -> tuple[tuple[str, ...], list[str]]:
    """The program of the container that trains, and the flags of its pod."""
    flags = [
        f"--{flag}={pod.pop(field)}"
        for field, flag in (
            ("serviceAccountName", "service_account"),
            ("priorityClassName", "priority_class"),
            ("runtimeClassName", "runtime_class"),
            ("terminationGracePeriodSeconds", "grace_secs"),
        )
        if field in pod
    ]
    for taint in pod.pop("tolerations", []):
        value = f"={taint['value']}" if taint.get("value") else ""
        effect = f":{taint['effect']}" if taint.get("effect") else ""
        flags.append(f"--toleration={taint.get('key', '')}{value}{effect}")
    containers = mappings(pod, "containers")
    named = [one for one in containers if one.get("name") == "tensorflow"] or containers[:1]
    if not named:
        return (), flags
    [trains] = named
    program = (*trains.pop("command", []), *trains.pop("args", []))
    trains.pop("name", None)
    if image := trains.pop("image", ""):
        flags.append(f"--image={image}")
    flags += [*_of_env(trains), *_of_mounts(trains, pod), *_of_resources(trains, pod)]
    flags += [f"--node_selector={k}={v}" for k, v in pod.pop("nodeSelector", {}).items()]
    return program, flags


def _of_env(container: Document) -> Iterator[str]:
    left = []
    for variable in mappings(container, "env"):
        secret = mapping(variable, "valueFrom", "secretKeyRef")
        if variable.get("name") == VARIABLE:
            continue  # the launcher sets its own
        if secret:
            yield f"--secret_env={variable['name']}={secret.get('name')}/{secret.get('key')}"
        elif "value" in variable:
            yield f"--env={variable['name']}={variable['value']}"
        else:
            left.append(variable)
    container["env"] = left


def _of_mounts(container: Document, pod: Document) -> Iterator[str]:
    volumes = {volume.get("name"): volume for volume in mappings(pod, "volumes")}
    left = []
    for mount in mappings(container, "volumeMounts"):
        volume = volumes.get(mount.get("name"), {})
        claim = mapping(volume, "persistentVolumeClaim").get("claimName")
        csi = mapping(volume, "csi")
        bucket = mapping(csi, "volumeAttributes").get("bucketName")
        path = str(mount.get("mountPath"))
        if claim:
            yield f"--mount_pvc={claim}:{path}"
        elif bucket and csi.get("driver") == GCSFUSE:
            yield f"--mount_gcs={bucket}:{path}"
        elif path != "/dev/shm":  # noqa: S108 - set by the launcher where it is needed
            left.append(mount)
            continue
        volumes.pop(mount.get("name"), None)
    container["volumeMounts"] = left
    pod["volumes"] = list(volumes.values())


def _of_resources(container: Document, pod: Document) -> Iterator[str]:
    asked = container.pop("resources", {})
    quantities: dict[str, Any] = {**asked.get("requests", {}), **asked.get("limits", {})}
    label = mapping(pod, "nodeSelector").pop(GPU_NODE, "")
    known = [row.name for row in TABLE.values() if row.gke_label and row.gke_label == label]
    for name, quantity in quantities.items():
        if (number := worth(quantity)) is None:
            raise bad_flag(f"resources of {name}: {quantity!r} is no quantity such as 4 or 16Gi")
        match name:
            case "cpu":
                yield f"--cpus={math.ceil(number)}"
            case "memory":
                yield f"--memory_gib={math.ceil(number / 2**30)}"
            case "ephemeral-storage":
                yield f"--scratch_gib={max(math.ceil(number / 2**30) - 2, 1)}"
            case _ if name == RESOURCES["gpu"] and known:
                yield f"--accelerator={known[0]}"
                yield f"--devices_per_worker={int(number)}"
            case _:
                yield f"--resource={name}:{int(number)}"


def _remarks(path: str, value: object) -> Iterator[str]:
    """What is left of a document, by the paths of its leaves; empty groups say nothing."""
    name = path.rpartition(".")[2]
    if name in _SETTLED:
        yield f"{path}: {_SETTLED[name]}"
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _remarks(f"{path}.{key}".lstrip("."), inner)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _remarks(f"{path}[{index}]", inner)
    else:
        yield f"{path}={value!r} has no counterpart"
