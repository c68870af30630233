"""Fields that take one of a few words, and numbers that Kubernetes bounds: schemas let all pass."""

from collections.abc import Iterator
from typing import Any

from launch.lint.finding import Finding, error
from launch.lint.objects import Objects
from launch.lint.schemas import is_known
from launch.lint.slips import did_you_mean
from launch.spec.documents import Document, mapping, title
from launch.spec.quantities import worth

# Field, or its parent and it -> what the reference of the Kubernetes API allows.
_TEXTS = {
    "imagePullPolicy": "Always IfNotPresent Never",
    "protocol": "TCP UDP SCTP",
    "restartPolicy": "Always OnFailure Never ExitCode",
    "dnsPolicy": "ClusterFirst ClusterFirstWithHostNet Default None",
    "terminationMessagePolicy": "File FallbackToLogsOnError",
    "completionMode": "Indexed NonIndexed",
    "podReplacementPolicy": "Failed TerminatingOrFailed",
    "concurrencyPolicy": "Allow Forbid Replace",
    "accessModes": "ReadWriteOnce ReadOnlyMany ReadWriteMany ReadWriteOncePod",
    "volumeMode": "Filesystem Block",
    "policyTypes": "Ingress Egress",
    "fsGroupChangePolicy": "Always OnRootMismatch",
    "whenUnsatisfiable": "DoNotSchedule ScheduleAnyway",
    "externalTrafficPolicy": "Cluster Local",
    "preemptionPolicy": "PreemptLowerPriority Never",
    "persistentVolumeReclaimPolicy": "Retain Delete Recycle",
    "podManagementPolicy": "OrderedReady Parallel",
    "tolerations.effect": "NoSchedule PreferNoSchedule NoExecute",
    "tolerations.operator": "Exists Equal Lt Gt",
    "matchExpressions.operator": "In NotIn Exists DoesNotExist Gt Lt",
    "onExitCodes.operator": "In NotIn",
    "seccompProfile.type": "RuntimeDefault Localhost Unconfined",
    "onPodConditions.status": "True False Unknown",
    "emptyDir.medium": "Memory HugePages HugePages-2Mi HugePages-1Gi",
    "subjects.kind": "ServiceAccount User Group",
    "roleRef.kind": "Role ClusterRole",
    "pathType": "Exact Prefix ImplementationSpecific",
    "strategy.type": "RollingUpdate Recreate",
    "updateStrategy.type": "RollingUpdate OnDelete",
    "spec.type": "ClusterIP NodePort LoadBalancer ExternalName",
}
_ALLOWED = {field: words.split() for field, words in _TEXTS.items()}
_PORTS = ("containerPort", "hostPort", "port", "targetPort", "endPort", "number")
_QUANTITIES = ("storage", "nominalQuota", "borrowingLimit", "lendingLimit")
_KNOWN = "get list watch create update patch delete deletecollection use bind impersonate"
_VERBS = _KNOWN.split()
_HOLDERS = ("ports", "httpGet", "tcpSocket", "grpc", "port")


def check_enums(objects: Objects) -> Iterator[Finding]:
    """Every word that is none of those allowed, and every port out of range."""
    for document in objects.documents:
        if is_known(str(document.get("apiVersion")), str(document.get("kind"))):
            yield from _walk(document, document, "", "")
        else:
            for pods in objects.pods:
                if pods.document is document:
                    yield from _walk(document, pods.spec, f"{pods.path}.spec".lstrip("."), "")
        if document.get("kind") == "PersistentVolumeClaim":
            yield from _check_claim(document)


def _walk(document: Document, node: Any, path: str, holder: str) -> Iterator[Finding]:
    if isinstance(node, list):
        for index, member in enumerate(node):
            yield from _walk(document, member, f"{path}[{index}]", holder)
        return
    for key, value in node.items() if isinstance(node, dict) else ():
        below = f"{path}.{key}".lstrip(".")
        if key in ("labels", "annotations", "matchLabels", "data", "stringData", "nodeSelector"):
            continue
        allowed = _ALLOWED.get(f"{holder}.{key}") or _ALLOWED.get(str(key))
        if allowed:
            yield from _check_words(document, below, value, allowed)
        if key in _QUANTITIES and not isinstance(value, dict | list) and worth(value) is None:
            yield error(
                f"{title(document)} {below}",
                f"{value!r} is not a quantity: it is refused",
                "write for example 100Gi",
            )
        if key == "verbs" and holder == "rules":
            yield from _check_verbs(document, below, value)
        is_port = key in _PORTS and holder in _HOLDERS
        if is_port and isinstance(value, int) and not 0 < value < 65536:
            yield error(
                f"{title(document)} {below}", f"{value} is no port: it is refused", "use 1 to 65535"
            )
        yield from _walk(document, value, below, str(key))


def _check_words(
    document: Document, path: str, value: object, allowed: list[str]
) -> Iterator[Finding]:
    for word in value if isinstance(value, list) else [value]:
        if isinstance(word, str) and word and word not in allowed:
            yield error(
                f"{title(document)} {path}",
                f"{word!r} is none of {', '.join(allowed)}: it is refused",
                did_you_mean(word, allowed) or f"use one of {allowed}",
            )


def _check_verbs(document: Document, path: str, value: object) -> Iterator[Finding]:
    for verb in value if isinstance(value, list) else []:
        if near := did_you_mean(str(verb), _VERBS):
            yield error(
                f"{title(document)} {path}", f"no verb is called {verb!r}: it grants nothing", near
            )


def _check_claim(document: Document) -> Iterator[Finding]:
    spec, where = mapping(document, "spec"), f"{title(document)} spec"
    if not spec.get("accessModes"):
        yield error(f"{where}.accessModes", "is missing: the claim is refused", "name one")
    if "storage" not in mapping(spec, "resources", "requests"):
        yield error(
            f"{where}.resources.requests.storage",
            "is missing: the claim is refused",
            "say how much, for example 100Gi",
        )
