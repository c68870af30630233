"""The pod of one worker, within PodSecurity `restricted` unless the spec says why not."""

from typing import Any

from common.cluster_description import INDEX_VARIABLE
from launch import placement
from launch.code_volume import fetch_container, volume
from launch.documents import Document
from launch.spec import CODE_DIR, JobSpec, Mount

CONTAINER = "trainer"
# GKE's device plugin mounts the driver's libraries here, where no loader looks by itself: without
# them TensorFlow says that there is no GPU. Elsewhere the container runtime sees to that.
_GKE_DRIVER = "/usr/local/nvidia/lib64"
TF_PORT = 2222
TPU_PORT = 8470
_INDEX_PATH = "metadata.annotations['batch.kubernetes.io/job-completion-index']"
_REASONS = {
    "rdma": "GPUDirect RDMA needs the host's network and locked memory",
    "tpu": "TPU nodes of old GKE versions open the chips only to privileged containers",
}


def labels(spec: JobSpec) -> dict[str, str]:
    """The labels by which everything of one job is found again."""
    found = {
        "app.kubernetes.io/name": "lockstep",
        "app.kubernetes.io/instance": spec.name,
        "app.kubernetes.io/managed-by": "lockstep",
    }
    if spec.code:
        found["lockstep/code-digest"] = spec.code.digest[:63]
    return found


def template(spec: JobSpec, command: tuple[str, ...], env: dict[str, str]) -> Document:
    """The pod template of a worker.

    Args:
        spec: the job.
        command: program and arguments; `$` in them is taken literally.
        env: variables set by the launcher, which may refer to the pod's index.
    """
    pod: Document = {
        "restartPolicy": "Never",
        "subdomain": spec.name,
        "serviceAccountName": spec.name if spec.workload_identity else spec.service_account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": spec.grace_secs,
        "securityContext": _pod_security(),
        "nodeSelector": placement.node_selector(spec),
        "tolerations": placement.tolerations(spec),
        "priorityClassName": spec.priority_class,
        "initContainers": _init_containers(spec),
        "containers": [_container(spec, command, env)],
        "volumes": [volume for volume, _ in _volumes(spec)],
    }
    if spec.privileged == "rdma":
        pod |= {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"}
    metadata = {"labels": labels(spec), "annotations": _annotations(spec)}
    return {"metadata": _without_empty(metadata), "spec": _without_empty(pod)}


def literal(text: str) -> str:
    """The text so written that the kubelet's `$(NAME)` expansion gives it back unchanged."""
    return text.replace("$", "$$")


def _container(spec: JobSpec, command: tuple[str, ...], env: dict[str, str]) -> Document:
    program = 3 if command[1:2] in (("-m",), ("-c",)) else 1
    return _without_empty(
        {
            "name": CONTAINER,
            "image": spec.image,
            "command": [literal(word) for word in command[:program]],
            "args": [literal(word) for word in command[program:]],
            "env": _env(spec, env),
            "ports": _ports(spec),
            "resources": placement.resources(spec),
            "securityContext": _container_security(spec),
            "terminationMessagePolicy": "FallbackToLogsOnError",
            "volumeMounts": [mount for _, mount in _volumes(spec)],
        }
    )


def _env(spec: JobSpec, env: dict[str, str]) -> list[Document]:
    # The kubelet expands $(NAME) only for variables above: the index comes first.
    first = [{"name": INDEX_VARIABLE, "valueFrom": {"fieldRef": {"fieldPath": _INDEX_PATH}}}]
    fixed = {"HOME": "/tmp", "PYTHONUNBUFFERED": "1"}  # noqa: S108 - the pod's own emptyDir
    if spec.device.kind == "gpu" and spec.platform == "gke":
        fixed["LD_LIBRARY_PATH"] = _GKE_DRIVER
    if spec.code:
        fixed["PYTHONPATH"] = CODE_DIR
    plain = {**fixed, **env, **{name: literal(value) for name, value in spec.env}}
    secrets = [
        {
            "name": variable.name,
            "valueFrom": {"secretKeyRef": {"name": variable.secret, "key": variable.key}},
        }
        for variable in spec.secret_env
    ]
    return [*first, *({"name": name, "value": value} for name, value in plain.items()), *secrets]


def _ports(spec: JobSpec) -> list[Document]:
    ports = [{"name": "tensorflow", "containerPort": TF_PORT}] if spec.workers > 1 else []
    if spec.pod_monitor:
        ports.append({"name": "metrics", "containerPort": spec.pod_monitor})
    return ports


def _pod_security() -> Document:
    return {
        "runAsNonRoot": True,
        "runAsUser": 1000,
        "runAsGroup": 1000,
        "fsGroup": 1000,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def _container_security(spec: JobSpec) -> Document:
    if spec.privileged == "tpu":
        return {"privileged": True, "readOnlyRootFilesystem": True}
    capabilities: dict[str, Any] = {"drop": ["ALL"]}
    if spec.privileged == "rdma":
        capabilities["add"] = ["IPC_LOCK"]
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": capabilities,
        "readOnlyRootFilesystem": True,
    }


def _init_containers(spec: JobSpec) -> list[Document]:
    if not spec.code or not spec.code.url:
        return []
    return [
        {
            **fetch_container(spec.code, spec.image),
            "securityContext": _container_security(spec),
            "resources": {
                key: {"cpu": "1", "memory": "1Gi", "ephemeral-storage": "1Gi"}
                for key in ("requests", "limits")
            },
        }
    ]


def _annotations(spec: JobSpec) -> dict[str, str]:
    found = {}
    if spec.privileged:
        found["lockstep/not-restricted-because"] = _REASONS[spec.privileged]
    if any(mount.kind == "gcs" for mount in spec.mounts):
        found["gke-gcsfuse/volumes"] = "true"
    return found


def _volumes(spec: JobSpec) -> list[tuple[Document, Document]]:
    scratch = {"name": "tmp", "emptyDir": {"sizeLimit": f"{spec.scratch_gib}Gi"}}
    pairs: list[tuple[Document, Document]] = [(scratch, {"name": "tmp", "mountPath": "/tmp"})]  # noqa: S108
    if shared := placement.shared_memory_gib(spec):
        memory = {"medium": "Memory", "sizeLimit": f"{shared}Gi"}
        pairs.append(
            ({"name": "shm", "emptyDir": memory}, {"name": "shm", "mountPath": "/dev/shm"})  # noqa: S108
        )
    if spec.code:
        mount = {"name": "code", "mountPath": CODE_DIR, "readOnly": True}
        pairs.append((volume(spec.name, spec.code), mount))
    for index, place in enumerate(spec.mounts):
        name = f"data-{index}"
        pairs.append((_mounted(name, place), {"name": name, "mountPath": place.path}))
    return pairs


def _mounted(name: str, place: Mount) -> Document:
    if place.kind == "pvc":
        return {"name": name, "persistentVolumeClaim": {"claimName": place.source}}
    return {
        "name": name,
        "csi": {
            "driver": "gcsfuse.csi.storage.gke.io",
            "volumeAttributes": {"bucketName": place.source, "mountOptions": "implicit-dirs"},
        },
    }


def _without_empty(fields: Document) -> Document:
    return {key: value for key, value in fields.items() if value not in ("", [], {})}
