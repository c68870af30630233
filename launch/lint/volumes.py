"""Volumes: mounted where they exist, and shared by no more pods than they allow."""

from collections import Counter
from collections.abc import Iterator
from pathlib import PurePosixPath

from launch.lint.finding import Finding, error, style, warning
from launch.lint.objects import Objects
from launch.lint.pods import Pods
from launch.lint.quantities import count
from launch.spec.documents import Document, mapping, mappings, sequence
from launch.spec.labels import GCSFUSE, GCSFUSE_VOLUMES, RESOURCES

_SHARED = {"ReadWriteMany", "ReadOnlyMany"}


def check_volumes(objects: Objects, pods: Pods) -> Iterator[Finding]:
    """All rules on the volumes and mounts of pods."""
    for path, container in pods.containers():
        yield from _check_mounts(pods, path, container)
    yield from _check_names(pods)
    yield from _check_use(pods)
    for index, volume in enumerate(pods.volumes):
        yield from _check_volume(pods, index, volume)
        if claim := mapping(volume, "persistentVolumeClaim").get("claimName"):
            yield from _check_claim(objects, pods, index, str(claim))
    if count(pods, RESOURCES["gpu"]) > 1 and pods.is_ours:
        yield from _check_shared_memory(pods)


def volume_at(pods: Pods, container: Document, path: str) -> tuple[Document, Document] | None:
    """The mount and the volume that hold a path; None where the path is of the image."""
    best: Document | None = None
    for mount in mappings(container, "volumeMounts"):
        at = str(mount.get("mountPath", ""))
        inside = PurePosixPath(path).is_relative_to(at) if at.startswith("/") else False
        if inside and (best is None or len(at) > len(str(best["mountPath"]))):
            best = mount
    if best is None:
        return None
    known = {volume.get("name"): volume for volume in (*pods.volumes, *_templates(pods))}
    return best, known.get(best.get("name"), {})


def _templates(pods: Pods) -> list[Document]:
    """The claims that a StatefulSet makes, one for each pod, as volumes."""
    return [
        {"name": mapping(one, "metadata").get("name"), "ephemeral": {}}
        for one in mappings(pods.owner, "volumeClaimTemplates")
    ]


def _check_mounts(pods: Pods, path: str, container: Document) -> Iterator[Finding]:
    volumes = {volume.get("name") for volume in (*pods.volumes, *_templates(pods))}
    mounts = mappings(container, "volumeMounts")
    paths = [str(mount.get("mountPath", "")) for mount in mounts]
    for index, mount in enumerate(mounts):
        where = f"{path}.volumeMounts[{index}]"
        if mount.get("name") not in volumes:
            yield error(
                pods.at(f"{where}.name"),
                f"no volume is called {mount.get('name')!r}: the pod is refused",
                f"add the volume, or use one of {sorted(map(str, volumes))}",
            )
        if not paths[index].startswith("/"):
            yield error(
                pods.at(f"{where}.mountPath"),
                f"{paths[index]!r} is relative",
                "use an absolute path of its own",
            )
        elif paths.count(paths[index]) > 1:
            yield error(
                pods.at(f"{where}.mountPath"),
                f"{paths[index]!r} is used twice: the pod is refused",
                "use an absolute path of its own",
            )
    read_only = mapping(container, "securityContext").get("readOnlyRootFilesystem") is True
    if pods.is_ours and read_only and "/tmp" not in paths:  # noqa: S108 - a path in the pod
        yield error(
            pods.at(f"{path}.volumeMounts"),
            "nothing is mounted at /tmp, and the root file system is read-only",
            "mount an emptyDir there",
        )


def _check_names(pods: Pods) -> Iterator[Finding]:
    names = Counter(volume.get("name") for volume in pods.volumes)
    for name, times in names.items():
        if times > 1:
            yield error(
                pods.at("volumes"), f"{times} volumes are called {name!r}", "rename one of them"
            )


def _check_use(pods: Pods) -> Iterator[Finding]:
    used = {mount.get("name") for mount in pods.of_containers("volumeMounts")}
    used |= {device.get("name") for device in pods.of_containers("volumeDevices")}
    for index, volume in enumerate(pods.volumes):
        if volume.get("name") not in used:
            yield warning(
                pods.at(f"volumes[{index}]"),
                f"{volume.get('name')!r} is not mounted",
                "mount it or remove it",
            )


def _check_volume(pods: Pods, index: int, volume: Document) -> Iterator[Finding]:
    where = f"volumes[{index}]"
    kinds = sorted(set(volume) - {"name"})
    if len(kinds) > 1:
        yield error(pods.at(where), f"is {' and '.join(kinds)} at once", "keep one of them")
    if "emptyDir" in volume and not mapping(volume, "emptyDir").get("sizeLimit") and pods.is_ours:
        yield style(pods.at(f"{where}.emptyDir.sizeLimit"), "may fill the node", "set a size")
    is_bucket = mapping(volume, "csi").get("driver") == GCSFUSE
    if is_bucket and pods.annotations.get(GCSFUSE_VOLUMES) != "true":
        yield error(
            pods.of_template(f"metadata.annotations[{GCSFUSE_VOLUMES}]"),
            f"is {pods.annotations.get(GCSFUSE_VOLUMES)!r}: the bucket would not be mounted",
            "set it to 'true'",
        )


def _check_claim(objects: Objects, pods: Pods, index: int, name: str) -> Iterator[Finding]:
    claim = objects.find("PersistentVolumeClaim", pods.namespace, name)
    modes = set(map(str, sequence(mapping(claim, "spec"), "accessModes")))
    where = pods.at(f"volumes[{index}].persistentVolumeClaim.claimName")
    if not modes:
        return
    users = [one for one in objects.in_namespace(pods.namespace) if name in claims(one)]
    most = sum(one.at_once for one in users)
    if modes == {"ReadWriteOncePod"} and most > 1:
        yield error(
            where,
            f"{name!r} is ReadWriteOncePod, and {most} pods use it: all but one wait for ever",
            "use ReadWriteMany, or a claim for each pod",
        )
    elif not modes & _SHARED and pods.at_once > 1 and not _together(pods):
        yield error(
            where,
            f"{name!r} is ReadWriteOnce, and {pods.at_once} pods use it: those on another node "
            "than the first do not start",
            "use ReadWriteMany, a bucket, or a claim for each pod",
        )
    elif not modes & _SHARED and most > pods.at_once and not _together(pods):
        others = sorted({one.of_document("").strip() for one in users if one is not pods})
        yield warning(
            where,
            f"{name!r} is ReadWriteOnce, and {', '.join(others)} uses it too: both run only on "
            "one node",
            "use ReadWriteMany, or a claim for each",
        )
    if modes == {"ReadOnlyMany"} and not _reads_only(pods, index):
        yield error(
            where, f"{name!r} is ReadOnlyMany: nothing can be written", "mount it with readOnly"
        )


def _reads_only(pods: Pods, index: int) -> bool:
    volume = pods.volumes[index]
    if mapping(volume, "persistentVolumeClaim").get("readOnly"):
        return True
    mounts = [m for m in pods.of_containers("volumeMounts") if m.get("name") == volume.get("name")]
    return all(mount.get("readOnly") is True for mount in mounts)


def claims(pods: Pods) -> set[str]:
    """The claims that pods mount."""
    found = (mapping(one, "persistentVolumeClaim").get("claimName") for one in pods.volumes)
    return {str(name) for name in found if name}


def _together(pods: Pods) -> bool:
    """Whether the pods ask to be on one node."""
    selector = mapping(pods.spec, "nodeSelector")
    affinity = mapping(pods.spec, "affinity", "podAffinity")
    return "kubernetes.io/hostname" in selector or bool(affinity) or "nodeName" in pods.spec


def _check_shared_memory(pods: Pods) -> Iterator[Finding]:
    in_memory = {
        volume.get("name")
        for volume in pods.volumes
        if mapping(volume, "emptyDir").get("medium") == "Memory"
    }
    mounted = {
        mount.get("name")
        for mount in pods.of_containers("volumeMounts")
        if mount.get("mountPath") == "/dev/shm"  # noqa: S108 - a path in the pod
    }
    if not in_memory & mounted:
        yield warning(
            pods.at("volumes"),
            "NCCL gets 64 MiB of /dev/shm, too little between GPUs",
            "mount an emptyDir with medium Memory at /dev/shm",
        )
