"""Security: contexts that contradict themselves, PodSecurity, and what Lockstep asks beyond it."""

from collections.abc import Iterator

from launch.lint.finding import Finding, Maker, error, style
from launch.lint.objects import Objects
from launch.lint.pods import Pods
from launch.spec.documents import Document, mapping, mappings, sequence
from launch.spec.job import JobSpec
from launch.spec.labels import NOT_RESTRICTED

_ENFORCE = "pod-security.kubernetes.io/enforce"
_NAMES = "configMap csi downwardAPI emptyDir ephemeral image persistentVolumeClaim projected secret"
_VOLUME_TYPES = set(_NAMES.split())
_ADDED = {"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "SETFCAP"}
_ADDED |= {"NET_BIND_SERVICE", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"}
_OWN_NAMESPACE = JobSpec.namespace  # k8s/base makes it one where `restricted` is enforced
_RESTRICTED = "PodSecurity restricted"


def check_security(objects: Objects, pods: Pods) -> Iterator[Finding]:
    """All security rules; those of PodSecurity are silent where an annotation says why."""
    yield from _check_contexts(pods)
    enforced = _enforced(objects, pods)
    judged = (pods.is_ours or enforced) and not pods.annotations.get(NOT_RESTRICTED)
    for field, baseline, problem, fix in _faults(pods) if judged else ():
        yield _maker(enforced, baseline)(pods.at(field), problem, fix)
    if pods.is_ours:
        yield from _check_ours(pods)


def _enforced(objects: Objects, pods: Pods) -> str:
    labels = objects.labels_of(pods.namespace)
    default = "restricted" if pods.namespace == _OWN_NAMESPACE else ""
    return str(labels.get(_ENFORCE, default))


def _maker(enforced: str, baseline: bool) -> Maker:
    """An error where the namespace refuses the pod, else a matter of style."""
    refuses = enforced == "restricted" or (enforced == "baseline" and baseline)
    return error if refuses else style


def _check_contexts(pods: Pods) -> Iterator[Finding]:
    of_pod = mapping(pods.spec, "securityContext")
    for path, container in pods.containers():
        own = mapping(container, "securityContext")
        context = {**of_pod, **own}
        if context.get("runAsNonRoot") is True and context.get("runAsUser") == 0:
            yield error(
                pods.at(f"{path}.securityContext"),
                "runAsNonRoot is true and runAsUser is 0: the container does not start",
                "use another number",
            )
        if own.get("allowPrivilegeEscalation") is False and (
            own.get("privileged") is True or "SYS_ADMIN" in sequence(own, "capabilities", "add")
        ):
            yield error(
                pods.at(f"{path}.securityContext"),
                "allowPrivilegeEscalation is false beside privileged or SYS_ADMIN: it is refused",
                "change one of the two",
            )


def _check_ours(pods: Pods) -> Iterator[Finding]:
    if pods.spec.get("automountServiceAccountToken") is not False:
        yield style(
            pods.at("automountServiceAccountToken"),
            "gives the training code a cluster token",
            "set false",
        )
    if pods.spec.get("enableServiceLinks") is not False:
        yield style(
            pods.at("enableServiceLinks"),
            "fills the environment with other services",
            "set false",
        )
    if pods.spec.get("serviceAccountName") in (None, "", "default"):
        yield style(
            pods.at("serviceAccountName"),
            "the default account is shared by everyone",
            "name one",
        )
    for path, container in pods.containers():
        context = mapping(container, "securityContext")
        if context.get("readOnlyRootFilesystem") is not True:
            yield style(
                pods.at(f"{path}.securityContext.readOnlyRootFilesystem"),
                "is not true",
                "set it to true",
            )
        is_last_word = container.get("terminationMessagePolicy") == "FallbackToLogsOnError"
        if path.startswith("containers") and not is_last_word:
            yield style(
                pods.at(f"{path}.terminationMessagePolicy"),
                "the last lines of a failed worker are lost with its pod",
                "use FallbackToLogsOnError",
            )


def _faults(pods: Pods) -> Iterator[tuple[str, bool, str, str]]:
    """Field, whether `baseline` refuses it too, problem and fix."""
    spec, context = pods.spec, mapping(pods.spec, "securityContext")
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(field):
            fix = f"remove it, or say in the annotation {NOT_RESTRICTED} why"
            yield field, True, f"needs a reason: {_RESTRICTED} refuses it", fix
    contexts = [mapping(one, "securityContext") for _, one in pods.containers()]
    if context.get("runAsNonRoot") is not True and not _all_non_root(contexts):
        yield "securityContext.runAsNonRoot", False, "is not true", "set it to true"
    for field in ("runAsUser", "runAsGroup", "fsGroup"):
        if context.get(field) == 0:
            named = "runAsUser" if field == "runAsGroup" else field
            yield f"securityContext.{named}", False, "is root", "use another number"
    profile = mapping(context, "seccompProfile").get("type")
    allowed = ("RuntimeDefault", "Localhost")
    own = [mapping(one, "seccompProfile").get("type") for one in contexts]
    if profile not in allowed and not all(one in allowed for one in own):
        yield "securityContext.seccompProfile.type", False, f"is {profile!r}", "use RuntimeDefault"
    if context.get("sysctls"):
        yield "securityContext.sysctls", True, "changes the node's kernel", "remove it"
    for index, volume in enumerate(pods.volumes):
        if kinds := sorted(set(volume) - {"name"} - _VOLUME_TYPES):
            problem = f"{', '.join(kinds)} reaches into the node: {_RESTRICTED} refuses it"
            fix = "use a claim, a bucket or an emptyDir"
            yield f"volumes[{index}]", "hostPath" in kinds, problem, fix
    for path, container in pods.containers():
        for field, baseline in _of_container(container, context):
            problem = f"is not what {_RESTRICTED} allows"
            fix = f"drop ALL, add nothing, no escalation, or explain it in {NOT_RESTRICTED}"
            yield f"{path}.securityContext.{field}", baseline, problem, fix
        if any(port.get("hostPort") for port in mappings(container, "ports")):
            yield f"{path}.ports", True, "a host port opens the node", "remove hostPort"


def _all_non_root(contexts: list[Document]) -> bool:
    return bool(contexts) and all(one.get("runAsNonRoot") is True for one in contexts)


def _of_container(container: Document, of_pod: Document) -> Iterator[tuple[str, bool]]:
    """Field below the container's context, and whether `baseline` refuses it too."""
    context = mapping(container, "securityContext")
    capabilities = mapping(context, "capabilities")
    added = set(map(str, sequence(capabilities, "add")))
    faults = {
        "privileged": (bool(context.get("privileged")), True),
        "allowPrivilegeEscalation": (context.get("allowPrivilegeEscalation") is not False, False),
        "capabilities.drop": ("ALL" not in sequence(capabilities, "drop"), False),
        "capabilities.add": (bool(added - {"NET_BIND_SERVICE"}), bool(added - _ADDED)),
        "procMount": (context.get("procMount", "Default") != "Default", True),
        "runAsUser": (context.get("runAsUser") == 0, False),
        "runAsNonRoot": (
            context.get("runAsNonRoot") is False and of_pod.get("runAsNonRoot") is True,
            False,
        ),
        "seccompProfile": (mapping(context, "seccompProfile").get("type") == "Unconfined", True),
    }
    for field, (wrong, baseline) in faults.items():
        if wrong:
            yield field, baseline
