"""Containers: pinned images, last words kept, variables that hold, volumes that exist."""

import json
import re
from collections.abc import Iterator

from common.cluster_description import INDEX_VARIABLE
from common.redaction import holds_secret, is_secret_name
from launch.lint.workload import Finding, Workload
from launch.spec.documents import Document, mapping, mappings, sequence, whole
from launch.spec.labels import GCSFUSE, GCSFUSE_VOLUMES, INDEX_PATH
from launch.spec.names import is_pinned

_REFERENCE = re.compile(r"(?<!\$)(?:\$\$)*\$\(([^()\s]+)\)")


def check_containers(workload: Workload) -> Iterator[Finding]:
    """All rules on images, probes, grace and mounts."""
    if whole(workload.pod.get("terminationGracePeriodSeconds"), 0) < 30:
        yield workload.of_pod(
            "terminationGracePeriodSeconds", "leaves no time to save the state", "use 60 or more"
        )
    if not sequence(workload.pod, "containers"):
        yield workload.of_pod("containers", "is empty", "write the trainer's container")
    for path, container in workload.containers():
        if not is_pinned(str(container.get("image", ""))):
            yield workload.of_pod(
                f"{path}.image",
                f"{container.get('image')!r} may change under the job",
                "name a tag other than latest, or a digest",
            )
        if path.startswith("containers"):
            yield from _check_last_words(workload, path, container)
        yield from _check_mounts(workload, path, container)
    yield from _check_volumes(workload)


def _check_last_words(workload: Workload, path: str, container: Document) -> Iterator[Finding]:
    if container.get("terminationMessagePolicy") != "FallbackToLogsOnError":
        yield workload.of_pod(
            f"{path}.terminationMessagePolicy",
            "the last lines of a failed worker are lost with its pod",
            "use FallbackToLogsOnError",
        )
    if not container.get("command"):
        yield workload.of_pod(f"{path}.command", "the image decides what runs", "write the command")
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        if probe in container:
            yield workload.of_pod(
                f"{path}.{probe}", "kills or hides a worker that is only busy", "remove it"
            )


def _check_mounts(workload: Workload, path: str, container: Document) -> Iterator[Finding]:
    volumes = {volume.get("name") for volume in workload.volumes}
    mounts = mappings(container, "volumeMounts")
    paths = [str(mount.get("mountPath", "")) for mount in mounts]
    for index, mount in enumerate(mounts):
        where = f"{path}.volumeMounts[{index}]"
        if mount.get("name") not in volumes:
            yield workload.of_pod(
                f"{where}.name", f"no volume is called {mount.get('name')!r}", "add the volume"
            )
        if not paths[index].startswith("/") or paths.count(paths[index]) > 1:
            yield workload.of_pod(
                f"{where}.mountPath",
                f"{paths[index]!r} is relative or used twice",
                "use an absolute path of its own",
            )
    if "/tmp" not in paths:  # noqa: S108 - the root file system is read-only
        yield workload.of_pod(
            f"{path}.volumeMounts", "nothing is mounted at /tmp", "mount an emptyDir there"
        )


def _check_volumes(workload: Workload) -> Iterator[Finding]:
    used = {mount.get("name") for mount in workload.of_containers("volumeMounts")}
    for index, volume in enumerate(workload.volumes):
        if volume.get("name") not in used:
            yield workload.of_pod(
                f"volumes[{index}]", f"{volume.get('name')!r} is not mounted", "mount or remove it"
            )
        if "emptyDir" in volume and not mapping(volume, "emptyDir").get("sizeLimit"):
            yield workload.of_pod(
                f"volumes[{index}].emptyDir.sizeLimit", "may fill the node", "set a size"
            )
        is_bucket = mapping(volume, "csi").get("driver") == GCSFUSE
        if is_bucket and workload.pod_annotations.get(GCSFUSE_VOLUMES) != "true":
            yield workload.of_job(
                f"template.metadata.annotations[{GCSFUSE_VOLUMES}]",
                "the bucket would not be mounted",
                "set it to 'true'",
            )


def check_environment(workload: Workload) -> Iterator[Finding]:
    """All rules on the variables of every container."""
    for path, container in workload.containers():
        variables = mappings(container, "env")
        yield from _check_variables(workload, path, variables)
        names = {str(variable.get("name")) for variable in variables}
        for field in ("command", "args"):
            for word in map(str, sequence(container, field)):
                yield from _check_references(workload, f"{path}.{field}", word, names)
    trainers = [c for p, c in workload.containers() if p.startswith("containers")]
    if trainers and workload.pods > 1 and not workload.is_sweep and workload.group != "host":
        yield from _check_cluster(workload, trainers[0])


def _check_variables(workload: Workload, path: str, variables: list[Document]) -> Iterator[Finding]:
    seen: set[str] = set()
    for index, variable in enumerate(variables):
        name, value = str(variable.get("name", "")), variable.get("value")
        where = f"{path}.env[{index}]"
        if name in seen:
            yield workload.of_pod(where, f"{name} is set twice", "remove one")
        if value and (is_secret_name(name) or holds_secret(str(value))):
            yield workload.of_pod(where, f"{name} holds a secret in plain text", "use secretKeyRef")
        if name == INDEX_VARIABLE:
            source = mapping(variable, "valueFrom", "fieldRef").get("fieldPath")
            if source != INDEX_PATH:
                yield workload.of_pod(
                    where, f"{name} comes from {source!r}", f"take it from {INDEX_PATH}"
                )
        yield from _check_references(workload, where, str(value or ""), seen)
        seen.add(name)


def _check_references(
    workload: Workload, where: str, text: str, known: set[str]
) -> Iterator[Finding]:
    for name in _REFERENCE.findall(text):
        if name not in known:
            yield workload.of_pod(
                where,
                f"$({name}) is not set above, so it stays as it is written",
                f"define {name} first, or write $$({name})",
            )


def _check_cluster(workload: Workload, container: Document) -> Iterator[Finding]:
    values = {
        variable.get("name"): variable.get("value") for variable in mappings(container, "env")
    }
    where = "containers[0].env[TF_CONFIG]"
    text = str(values.get("TF_CONFIG") or "")
    try:
        described = json.loads(text.replace(f"$({INDEX_VARIABLE})", "0"))
        addresses = list(described["cluster"]["worker"])
        task = described["task"]
    except (ValueError, KeyError, TypeError):
        yield workload.of_pod(
            where, "does not describe the workers", 'write {"cluster":{"worker":[...]},"task":...}'
        )
        return
    if f"$({INDEX_VARIABLE})" not in text or task.get("type") != "worker":
        yield workload.of_pod(
            where, f"the task {task} is the same in every pod", f"use $({INDEX_VARIABLE})"
        )
    ports = [port.get("containerPort") for port in mappings(container, "ports")]
    expected = [
        f"{workload.name}-{index}.{workload.subdomain}:{port}"
        for index in range(workload.pods)
        for port in ports[:1]
    ]
    if addresses != expected:
        yield workload.of_pod(
            where,
            f"{len(addresses)} addresses do not name the {workload.pods} pods of this Job",
            f"they are {', '.join(expected[:2])}, ... (name, subdomain, containerPort)",
        )
