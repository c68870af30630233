"""PodSecurity `restricted`, and what the project asks for beyond it."""

from collections.abc import Iterator

from launch.lint.workload import Finding, Workload
from launch.spec.documents import Document, mapping, mappings, sequence
from launch.spec.labels import NOT_RESTRICTED

_VOLUME_TYPES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}


def check_security(workload: Workload) -> Iterator[Finding]:
    """All security rules; those of `restricted` are silent where an annotation says why."""
    yield from _check_tokens(workload)
    explained = workload.pod_annotations.get(NOT_RESTRICTED)
    if not explained:
        yield from _check_pod(workload)
    for path, container in workload.containers():
        context = mapping(container, "securityContext")
        if context.get("readOnlyRootFilesystem") is not True:
            yield workload.of_pod(
                f"{path}.securityContext.readOnlyRootFilesystem", "is not true", "set it to true"
            )
        if not explained:
            yield from _check_container(workload, path, container)


def _check_tokens(workload: Workload) -> Iterator[Finding]:
    if workload.pod.get("automountServiceAccountToken") is not False:
        yield workload.of_pod(
            "automountServiceAccountToken", "gives the training code a cluster token", "set false"
        )
    if workload.pod.get("enableServiceLinks") is not False:
        yield workload.of_pod(
            "enableServiceLinks", "fills the environment with other services", "set false"
        )
    if workload.pod.get("serviceAccountName") in (None, "", "default"):
        yield workload.of_pod(
            "serviceAccountName", "the default account is shared by everyone", "name one"
        )


def _check_pod(workload: Workload) -> Iterator[Finding]:
    pod = workload.pod
    context = mapping(pod, "securityContext")
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(field):
            yield workload.of_pod(
                field, f"needs a reason in the annotation {NOT_RESTRICTED}", "remove it"
            )
    if context.get("runAsNonRoot") is not True:
        yield workload.of_pod("securityContext.runAsNonRoot", "is not true", "set it to true")
    if context.get("runAsUser") == 0 or context.get("runAsGroup") == 0:
        yield workload.of_pod("securityContext.runAsUser", "is root", "use another number")
    if context.get("fsGroup") == 0:
        yield workload.of_pod("securityContext.fsGroup", "is root", "use another number")
    profile = mapping(context, "seccompProfile").get("type")
    if profile not in ("RuntimeDefault", "Localhost"):
        yield workload.of_pod(
            "securityContext.seccompProfile.type", f"is {profile!r}", "use RuntimeDefault"
        )
    if context.get("sysctls"):
        yield workload.of_pod("securityContext.sysctls", "changes the node's kernel", "remove it")
    for index, volume in enumerate(workload.volumes):
        types = set(volume) - {"name"}
        if not types <= _VOLUME_TYPES:
            yield workload.of_pod(
                f"volumes[{index}]",
                f"{', '.join(sorted(types - _VOLUME_TYPES))} reaches into the node",
                "use a claim, a bucket or an emptyDir",
            )


def _check_container(workload: Workload, path: str, container: Document) -> Iterator[Finding]:
    context = mapping(container, "securityContext")
    capabilities = mapping(context, "capabilities")
    faults = {
        "privileged": bool(context.get("privileged")),
        "allowPrivilegeEscalation": context.get("allowPrivilegeEscalation") is not False,
        "capabilities.drop": "ALL" not in sequence(capabilities, "drop"),
        "capabilities.add": bool(set(sequence(capabilities, "add")) - {"NET_BIND_SERVICE"}),
        "procMount": context.get("procMount", "Default") != "Default",
        "runAsUser": context.get("runAsUser") == 0,
        "runAsNonRoot": context.get("runAsNonRoot") is False,
        "seccompProfile": mapping(context, "seccompProfile").get("type") == "Unconfined",
    }
    for field, wrong in faults.items():
        if wrong:
            yield workload.of_pod(
                f"{path}.securityContext.{field}",
                "is not what PodSecurity restricted allows",
                f"drop ALL, add nothing, no escalation, or explain it in {NOT_RESTRICTED}",
            )
    for port in mappings(container, "ports"):
        if port.get("hostPort"):
            yield workload.of_pod(f"{path}.ports", "a host port opens the node", "remove hostPort")
