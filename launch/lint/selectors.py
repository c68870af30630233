"""Label selectors: which pods they select, and those that select none where some were meant."""

from collections.abc import Iterator

from launch.lint.finding import Finding, error, warning
from launch.lint.objects import Objects, namespace_of, same_namespace
from launch.lint.pods import Pods
from launch.lint.slips import did_you_mean
from launch.spec.documents import Document, mapping, mappings, sequence, title

_OWN = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")
_SELECTING = {
    "Service": "selector",
    "NetworkPolicy": "podSelector",
    "PodDisruptionBudget": "selector",
    "PodMonitor": "selector",
}


def matches(selector: Document, labels: Document) -> bool:
    """Whether a label selector matches; an empty one matches everything."""
    if not mapping(selector, "matchLabels").items() <= labels.items():
        return False
    return all(_holds(one, labels) for one in mappings(selector, "matchExpressions"))


def _holds(expression: Document, labels: Document) -> bool:
    key, values = str(expression.get("key")), sequence(expression, "values")
    match expression.get("operator"):
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
    return False


def selector_of(document: Document) -> Document:
    """The selector of an object; that of a Service in the form of the others."""
    found = mapping(document, "spec", _SELECTING.get(str(document.get("kind")), "selector"))
    return {"matchLabels": found} if document.get("kind") == "Service" else found


def selects(document: Document, pods: Pods) -> bool:
    """Whether an object selects pods."""
    selector = selector_of(document)
    if document.get("kind") == "Service" and not selector["matchLabels"]:
        return False
    near = same_namespace(namespace_of(document), pods.namespace)
    return near and matches(selector, pods.labels)


def selected(objects: Objects, document: Document) -> list[Pods]:
    """The pods of the files that an object selects."""
    return [pods for pods in objects.all_pods if selects(document, pods)]


def check_selectors(objects: Objects) -> Iterator[Finding]:
    """All rules on selectors."""
    for pods in objects.pods:
        if pods.kind in _OWN:
            yield from _check_own(pods)
    for document in objects.documents:
        if document.get("kind") in _SELECTING:
            yield from _check_selects(objects, document)


def _check_own(pods: Pods) -> Iterator[Finding]:
    selector = mapping(pods.owner, "selector")
    labels = mapping(pods.template, "metadata", "labels")
    if not selector or not matches(selector, labels):
        yield error(
            pods.of_owner("selector"),
            f"does not select its own pods, which have {dict(labels)}: it is refused",
            "use the labels of the template",
        )


def _check_selects(objects: Objects, document: Document) -> Iterator[Finding]:
    around = objects.in_namespace(namespace_of(document))
    wanted = dict(mapping(selector_of(document), "matchLabels"))
    wanted |= {str(one.get("key")): None for one in _required(document)}
    unknown = any(not pods.is_plain for pods in around)  # their controller adds labels
    if not around or not wanted or unknown or selected(objects, document):
        return
    where = f"{title(document)} spec.{_SELECTING[str(document['kind'])]}"
    meant = [pods for pods in around if _nearly(wanted, pods.labels)]
    if meant:
        labels = {key: value for key, value in meant[0].labels.items() if key in wanted}
        yield error(
            where,
            f"does not select the pods of {title(meant[0].document)}, which have "
            f"{labels or dict(meant[0].labels)}: it selects none",
            "use the labels of the template",
        )
    else:
        yield warning(where, f"{wanted} selects no pods of these files", "use their labels")


def _required(document: Document) -> list[Document]:
    expressions = mappings(selector_of(document), "matchExpressions")
    return [one for one in expressions if one.get("operator") in ("In", "Exists")]


def _nearly(wanted: Document, labels: Document) -> bool:
    """Whether pods with these labels were meant: a key in common, or one that is misspelt."""
    return any(key in labels or did_you_mean(key, labels) for key in wanted)
