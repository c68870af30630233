"""Names, namespaces and labels: of the form that their kind asks for, and unique."""

import re
from collections import Counter
from collections.abc import Iterator

from launch.lint.finding import Finding, error, style, warning
from launch.lint.objects import CLUSTER_WIDE, Objects, name_of, namespace_of
from launch.lint.pods import Pods
from launch.spec.documents import Document, mapping, title
from launch.spec.labels import INSTANCE
from launch.spec.names import MAX_LABEL

_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_LETTER_FIRST = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_SEGMENT = re.compile(r"(?!\.{1,2}$)[^/%]+")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_KEY = re.compile(r"([a-z0-9.-]+/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_RBAC = ("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding")
# Kinds whose name is one label of a DNS name.
_OF_LABELS = ("Namespace", "Service", "JobSet", "TrainJob")


def is_subdomain(name: object) -> bool:
    """Whether a name has the form that most kinds ask for."""
    return isinstance(name, str) and bool(_SUBDOMAIN.fullmatch(name)) and len(name) <= 253


def _is_label(name: object) -> bool:
    return isinstance(name, str) and bool(_LABEL.fullmatch(name)) and len(name) <= MAX_LABEL


def check_names(objects: Objects) -> Iterator[Finding]:
    """All rules on names, namespaces and labels."""
    keys = Counter(_key(document) for document in objects.documents)
    for document in objects.documents:
        where = f"{title(document)} metadata"
        for field in ("apiVersion", "kind"):
            if not document.get(field):
                yield error(title(document), f"has no {field}: it is refused", f"write {field}")
        yield from _check_name(document, where)
        yield from _check_namespace(objects, document, where)
        if keys[_key(document)] > 1 and name_of(document):
            yield error(
                f"{where}.name",
                "is used twice: the last one replaces the others",
                "give each document its own name",
            )
        yield from _check_labels(f"{where}.labels", mapping(document, "metadata", "labels"))
    for pods in objects.pods:
        yield from _check_pods(pods)


def _key(document: Document) -> tuple[str, str, str]:
    return str(document.get("kind")), namespace_of(document), title(document)


def _check_name(document: Document, where: str) -> Iterator[Finding]:
    metadata, kind = mapping(document, "metadata"), document.get("kind")
    name = metadata.get("name")
    if name is None and metadata.get("generateName"):
        return
    form, told = _SUBDOMAIN, "use lower-case letters, digits and '-'"
    if kind in _RBAC:
        form, told = _SEGMENT, "use no '/' and no '%'"
    elif kind in ("Service", "TrainJob"):
        form, told = _LETTER_FIRST, f"{told}, starting with a letter"
    elif kind in _OF_LABELS:
        form = _LABEL
    longest = MAX_LABEL if kind in _OF_LABELS else 253
    if not isinstance(name, str) or not form.fullmatch(name) or len(name) > longest:
        yield error(f"{where}.name", f"{name!r} is not a valid name: it is refused", told)


def _namespace_beside(objects: Objects, document: Document) -> str:
    """The namespace of a document that bears the same name or a same label, or ""."""
    labels = mapping(document, "metadata", "labels").items()
    for one in objects.documents:
        alike = (
            name_of(one) == name_of(document) or mapping(one, "metadata", "labels").items() & labels
        )
        if namespace_of(one) and alike:
            return namespace_of(one)
    return ""


def _check_namespace(objects: Objects, document: Document, where: str) -> Iterator[Finding]:
    namespace, kind = namespace_of(document), document.get("kind")
    if namespace and not _is_label(namespace):
        yield error(
            f"{where}.namespace",
            f"{namespace!r} is not a valid name",
            "use lower-case letters, digits and '-'",
        )
    if namespace or kind in CLUSTER_WIDE or not _is_known(document):
        return
    if beside := _namespace_beside(objects, document):
        yield warning(
            f"{where}.namespace",
            f"is missing, and what belongs to it is in {beside!r}: kubectl puts it elsewhere",
            f"write {beside}",
        )
    elif any(one.is_ours for one in objects.pods if one.document is document):
        yield style(
            f"{where}.namespace", "is missing", "name the namespace, so that kubectl cannot"
        )


def _is_known(document: Document) -> bool:
    """Whether it is known that the kind belongs to a namespace."""
    group = str(document.get("apiVersion", "")).rpartition("/")[0]
    known = ("jobset.x-k8s.io", "kueue.x-k8s.io", "kubeflow.org", "trainer.kubeflow.org")
    return "." not in group or group.endswith(".k8s.io") or group in known


def _check_labels(where: str, labels: Document) -> Iterator[Finding]:
    for key, value in labels.items():
        if not isinstance(value, str) or not _LABEL_VALUE.fullmatch(value):
            yield error(
                f"{where}[{key}]",
                f"{value!r} is not a label value: it is refused",
                "use up to 63 letters, digits, '-', '_' and '.', in quotes",
            )
        if not _KEY.fullmatch(str(key)):
            yield error(
                f"{where}[{key}]", f"{key!r} is not the name of a label", "use PREFIX/NAME or NAME"
            )


def _check_pods(pods: Pods) -> Iterator[Finding]:
    yield from _check_labels(
        pods.of_template("metadata.labels"), mapping(pods.template, "metadata", "labels")
    )
    yield from _check_length(pods)
    yield from _check_containers(pods)
    if pods.is_ours:
        yield from _check_instance(pods)


def _check_length(pods: Pods) -> Iterator[Finding]:
    """The host name of a pod is one label of DNS, and Kubernetes makes it longer."""
    if pods.kind != "Job" or not pods.name or pods.document.get("kind") == "CronJob":
        return
    stem = f"{pods.name}-{pods.group}-{pods.copies - 1}" if pods.group else pods.name
    longest = f"{stem}-{max(pods.in_all - 1, 0)}" if pods.is_indexed else stem
    # JobSet counts the random end of a pod's name too; the Job controller cuts names to fit.
    longest = f"{longest}-abcde" if pods.group else longest
    if len(longest) > MAX_LABEL:
        yield error(
            pods.of_document("metadata.name"),
            f"leads to the name {longest} of {len(longest)} characters",
            f"shorten it by {len(longest) - MAX_LABEL}",
        )


def _check_containers(pods: Pods) -> Iterator[Finding]:
    names = [str(container.get("name")) for _, container in pods.containers()]
    for name, times in Counter(names).items():
        if times > 1:
            yield error(
                pods.at("containers"), f"{times} containers are called {name!r}", "rename one"
            )
    given = [(f"{path}.name", container.get("name")) for path, container in pods.containers()]
    given += [("volumes", volume.get("name")) for volume in pods.volumes]
    for field, text in given:
        if not _is_label(text):
            yield error(
                pods.at(field),
                f"{text!r} is not a valid name: the pod is refused",
                "use lower-case letters, digits and '-'",
            )
    if not any(pods.containers("containers")):
        yield error(pods.at("containers"), "is empty: nothing runs", "write the container")


def _check_instance(pods: Pods) -> Iterator[Finding]:
    labels = mapping(pods.document, "metadata", "labels")
    own = mapping(pods.template, "metadata", "labels").get(INSTANCE)
    where = pods.of_template(f"metadata.labels[{INSTANCE}]")
    if not own:
        yield style(where, "is missing", "write the job's name")
    elif labels.get(INSTANCE, own) != own:
        yield warning(
            where, f"{own!r} differs from the job's {labels[INSTANCE]!r}", "use one value"
        )
