"""Containers: pinned images, last words kept, no probes, and volumes that exist."""

from collections.abc import Iterator

from launch.lint.workload import Finding, Workload
from launch.spec.documents import Document, mapping, mappings, sequence, whole
from launch.spec.images import is_pinned
from launch.spec.labels import GCSFUSE, GCSFUSE_VOLUMES


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
