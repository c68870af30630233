"""Kueue: labels where it looks for them, and quotas that can hold what a job asks for."""

from collections.abc import Iterator
from fractions import Fraction

from launch.lint.finding import Finding, error, warning
from launch.lint.names import is_subdomain
from launch.lint.objects import Objects, name_of, namespace_of
from launch.lint.pods import Pods, jobset_of
from launch.lint.references import PRIORITY
from launch.lint.selectors import matches
from launch.spec.documents import Document, mapping, mappings, title
from launch.spec.labels import QUEUE
from launch.spec.quantities import worth

_PODS_AS_JOBS = ("Pod", "Deployment", "StatefulSet", "LeaderWorkerSet")


def check_queues(objects: Objects) -> Iterator[Finding]:
    """All rules on queues and on the jobs that wait in them."""
    for document in objects.documents:
        match document.get("kind"):
            case "ClusterQueue":
                yield from _check_cluster_queue(document)
            case "LocalQueue":
                yield from _check_local_queue(objects, document)
            case _:
                yield from _check_places(document)
    for pods in objects.pods:
        yield from _check_place_in_template(pods)
        yield from _check_quota(objects, pods)


def queue_of(document: Document) -> str:
    """The LocalQueue in which a job waits, or ""."""
    labels = mapping(document, "metadata", "labels")
    if document.get("kind") == "CronJob":
        labels = mapping(document, "spec", "jobTemplate", "metadata", "labels")
    return str(labels.get(QUEUE) or "")


def _check_places(document: Document) -> Iterator[Finding]:
    metadata, where = mapping(document, "metadata"), title(document)
    for key in (QUEUE, PRIORITY):
        if key in mapping(metadata, "annotations") and key not in mapping(metadata, "labels"):
            yield error(
                f"{where} metadata.annotations[{key}]",
                "Kueue reads labels: the job does not wait in the queue",
                "move it to metadata.labels",
            )
    labels = mapping(metadata, "labels")
    if document.get("kind") == "CronJob" and QUEUE in labels and not queue_of(document):
        yield error(
            f"{where} metadata.labels[{QUEUE}]",
            "is on the CronJob and not on its Jobs: they do not wait in the queue",
            "move it to spec.jobTemplate.metadata.labels",
        )
    queue = labels.get(QUEUE)
    if queue is not None and not is_subdomain(queue):
        yield error(
            f"{where} metadata.labels[{QUEUE}]",
            f"{queue!r} is not the name of a queue",
            "name a LocalQueue of the namespace",
        )


def _check_place_in_template(pods: Pods) -> Iterator[Finding]:
    labels = mapping(pods.template, "metadata", "labels")
    if pods.kind in _PODS_AS_JOBS or queue_of(pods.document):
        return
    for field, found in (("labels", labels), ("annotations", pods.annotations)):
        if QUEUE in found:
            place = (
                "spec.jobTemplate.metadata" if pods.document["kind"] == "CronJob" else "metadata"
            )
            yield error(
                pods.of_template(f"metadata.{field}[{QUEUE}]"),
                "is on the pods and not on the job: it does not wait in the queue",
                f"move it to {place}.labels",
            )
    inner = pods.owner_path.removesuffix(".spec")
    if inner.endswith(".template"):
        outer = mapping(_owner_template(pods), "metadata", "labels")
        if QUEUE in outer:
            yield error(
                pods.of_document(f"{inner}.metadata.labels[{QUEUE}]"),
                "is on a Job of the JobSet: the JobSet does not wait in the queue",
                "move it to metadata.labels",
            )


def _owner_template(pods: Pods) -> Document:
    for group in mappings(jobset_of(pods.document)[0], "replicatedJobs"):
        if group.get("name") == pods.group:
            return mapping(group, "template")
    return {}


def _check_cluster_queue(queue: Document) -> Iterator[Finding]:
    spec, where = mapping(queue, "spec"), f"{title(queue)} spec"
    if spec.get("namespaceSelector") is None:
        yield error(
            f"{where}.namespaceSelector",
            "is missing: no namespace may use the queue",
            "write {} for all namespaces, or select some by their labels",
        )
    for i, group in enumerate(mappings(spec, "resourceGroups")):
        covered = [str(name) for name in group.get("coveredResources") or []]
        for k, flavor in enumerate(mappings(group, "flavors")):
            named = [str(one.get("name")) for one in mappings(flavor, "resources")]
            if sorted(named) != sorted(covered):
                yield error(
                    f"{where}.resourceGroups[{i}].flavors[{k}].resources",
                    f"{named} are not the coveredResources {covered}: the queue is refused",
                    "name the same resources in both, in one order",
                )


def _check_local_queue(objects: Objects, queue: Document) -> Iterator[Finding]:
    name = str(mapping(queue, "spec").get("clusterQueue") or "")
    held = objects.find("ClusterQueue", "", name)
    selector = mapping(held, "spec").get("namespaceSelector")
    labels = objects.labels_of(namespace_of(queue))
    knows = objects.find("Namespace", "", namespace_of(queue)) is not None
    only_name = set(mapping(selector, "matchLabels")) <= {"kubernetes.io/metadata.name"}
    if selector and namespace_of(queue) and (knows or only_name) and not matches(selector, labels):
        yield error(
            f"{title(queue)} spec.clusterQueue",
            f"{name!r} does not admit namespace {namespace_of(queue)!r}: its jobs wait for ever",
            "let its namespaceSelector match the labels of the namespace",
        )


def _check_quota(objects: Objects, pods: Pods) -> Iterator[Finding]:
    name = queue_of(objects.trainjob_of(pods.document) or pods.document)
    local = objects.find("LocalQueue", pods.namespace, name) if name else None
    queue = objects.find("ClusterQueue", "", str(mapping(local, "spec").get("clusterQueue") or ""))
    if queue is None:
        return
    quotas = _quotas(queue)
    shares = any(mapping(queue, "spec").get(field) for field in ("cohort", "cohortName"))
    for resource, amount in _asked(pods).items():
        where = pods.at(f"containers[0].resources[{resource}]")
        if resource not in quotas and quotas:
            yield error(
                where,
                f"ClusterQueue {name_of(queue)!r} covers {sorted(quotas)} and not {resource}: the "
                "job waits for ever",
                "add it to coveredResources, or ask for nothing of it",
            )
        elif resource in quotas and amount > quotas[resource]:
            make = warning if shares else error
            yield make(
                where,
                f"{_plain(amount)} for {pods.at_once} pod(s), and the quota of ClusterQueue "
                f"{name_of(queue)!r} is {_plain(quotas[resource])}: the job waits for ever",
                "ask for less, or raise nominalQuota",
            )


def _plain(amount: Fraction) -> str:
    gib = amount / 2**30
    return f"{float(gib):g}Gi" if gib >= 1 else f"{float(amount):g}"


def _asked(pods: Pods) -> dict[str, Fraction]:
    """What all pods ask for together; a limit alone is a request."""
    found: dict[str, Fraction] = {}
    for _, container in pods.containers("containers"):
        resources = mapping(container, "resources")
        for name, value in {
            **mapping(resources, "limits"),
            **mapping(resources, "requests"),
        }.items():
            found[name] = found.get(name, Fraction()) + (worth(value) or 0) * pods.at_once
    return found


def _quotas(queue: Document) -> dict[str, Fraction]:
    """The largest quota of every resource: a job runs on one flavor."""
    found: dict[str, Fraction] = {}
    for group in mappings(queue, "spec", "resourceGroups"):
        for flavor in mappings(group, "flavors"):
            for one in mappings(flavor, "resources"):
                amount = (worth(one.get("nominalQuota")) or Fraction()) + (
                    worth(one.get("borrowingLimit")) or 0
                )
                name = str(one.get("name"))
                found[name] = max(found.get(name, Fraction()), amount)
    return found
