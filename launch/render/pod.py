"""The pod of one worker, within PodSecurity `restricted` unless the spec says why not."""

from launch.code.volume import fetch_container, install_container, volume
from launch.render import environment, placement
from launch.render.environment import literal
from launch.spec import labels
from launch.spec.documents import Document, without_empty
from launch.spec.job import JobSpec
from launch.spec.parts import Mount

_REASONS = {
    "rdma": "GPUDirect RDMA needs the host's network and locked memory",
    "tpu": "TPU nodes of old GKE versions open the chips only to privileged containers",
}


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
        # A process that is the first of its namespace gets no signal for which it has no handler
        # yet: SIGTERM in its first moments would be lost. Shared, the pause container is the first.
        "shareProcessNamespace": True,
        "serviceAccountName": spec.name if spec.workload_identity else spec.service_account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": spec.grace_secs,
        "securityContext": _pod_security(),
        "nodeSelector": placement.node_selector(spec),
        "tolerations": placement.tolerations(spec),
        "priorityClassName": spec.priority_class,
        "runtimeClassName": spec.runtime_class,
        "initContainers": _init_containers(spec),
        "containers": [_container(spec, command, env)],
        "volumes": [volume for volume, _ in _volumes(spec)],
    }
    if spec.privileged == "rdma":
        pod |= {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"}
    metadata = {"labels": labels.of_job(spec), "annotations": _annotations(spec)}
    return {"metadata": without_empty(metadata), "spec": without_empty(pod)}


def _container(spec: JobSpec, command: tuple[str, ...], env: dict[str, str]) -> Document:
    program = 3 if command[1:2] in (("-m",), ("-c",)) else 1
    return without_empty(
        {
            "name": labels.CONTAINER,
            "image": spec.image,
            "command": [literal(word) for word in command[:program]],
            "args": [literal(word) for word in command[program:]],
            "env": environment.of_trainer(spec, env),
            "ports": _ports(spec),
            "resources": placement.resources(spec),
            "securityContext": _container_security(spec),
            "terminationMessagePolicy": "FallbackToLogsOnError",
            "volumeMounts": [mount for _, mount in _volumes(spec)],
        }
    )


def _ports(spec: JobSpec) -> list[Document]:
    ports = [{"name": "tensorflow", "containerPort": labels.TF_PORT}] if spec.workers > 1 else []
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
    capabilities: Document = {"drop": ["ALL"]}
    if spec.privileged == "rdma":
        capabilities["add"] = ["IPC_LOCK"]
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": capabilities,
        "readOnlyRootFilesystem": True,
    }


def _init_containers(spec: JobSpec) -> list[Document]:
    made = []
    if spec.code and spec.code.url:
        made.append(fetch_container(spec.code, spec.image))
    if spec.requirements:
        made.append(install_container(spec.requirements, spec.image))
    quantities = {"cpu": "1", "memory": "1Gi", "ephemeral-storage": "1Gi"}
    return [
        {
            **container,
            "command": [literal(word) for word in container["command"]],
            "args": [literal(word) for word in container["args"]],
            "env": environment.of_preparation(spec),
            "securityContext": _container_security(spec),
            "resources": {key: dict(quantities) for key in ("requests", "limits")},
        }
        for container in made
    ]


def _annotations(spec: JobSpec) -> dict[str, str]:
    found = {}
    if spec.privileged:
        found[labels.NOT_RESTRICTED] = _REASONS[spec.privileged]
    if any(mount.kind == "gcs" for mount in spec.mounts):
        found[labels.GCSFUSE_VOLUMES] = "true"
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
        mount = {"name": "code", "mountPath": labels.CODE_DIR, "readOnly": True}
        pairs.append((volume(spec.name, spec.code), mount))
    if spec.requirements:
        mount = {"name": "packages", "mountPath": labels.PACKAGES_DIR, "readOnly": True}
        pairs.append(({"name": "packages", "emptyDir": {"sizeLimit": "5Gi"}}, mount))
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
            "driver": labels.GCSFUSE,
            "volumeAttributes": {"bucketName": place.source, "mountOptions": "implicit-dirs"},
        },
    }
