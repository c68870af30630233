"""Names and labels: valid, short enough, and the same throughout a job."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from launch.lint.workload import Finding, Workload
from launch.spec.documents import Document, mapping, mappings, sequence, title
from launch.spec.labels import INSTANCE, QUEUE
from launch.spec.names import LABEL, MAX_LABEL, OBJECT

_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_CLUSTER_WIDE = {"Namespace", "ClusterRole", "ClusterRoleBinding", "ClusterQueue", "ResourceFlavor"}
_LASTING = "starts training again that has ended"
_NO_JOB = dict.fromkeys(("Deployment", "StatefulSet", "ReplicaSet", "DaemonSet"), _LASTING)
_NO_JOB["Pod"] = "is gone for good with its node, and nothing restarts it"


def check_documents(documents: Sequence[Document]) -> Iterator[Finding]:
    """Every document has a kind, a name, a namespace and valid labels; no name comes twice."""
    keys = Counter((doc.get("kind"), _namespace(doc), title(doc)) for doc in documents)
    for document in documents:
        where = f"{title(document)} metadata"
        metadata = mapping(document, "metadata")
        for field in ("apiVersion", "kind"):
            if not document.get(field):
                yield Finding(title(document), f"has no {field}", f"write {field}")
        if problem := _NO_JOB.get(str(document.get("kind"))):
            yield Finding(title(document), problem, "run training as a Job or a JobSet")
        if not LABEL.fullmatch(str(metadata.get("name", ""))):
            yield Finding(
                f"{where}.name",
                f"{metadata.get('name')!r} is not a valid name",
                "use lower-case letters, digits and '-', starting with a letter",
            )
        if not metadata.get("namespace") and document.get("kind") not in _CLUSTER_WIDE:
            yield Finding(
                f"{where}.namespace", "is missing", "name the namespace, so that kubectl cannot"
            )
        elif _namespace(document) and not OBJECT.fullmatch(_namespace(document)):
            yield Finding(
                f"{where}.namespace",
                f"{_namespace(document)!r} is not a valid name",
                "use lower-case letters, digits and '-'",
            )
        if keys[document.get("kind"), _namespace(document), title(document)] > 1:
            yield Finding(f"{where}.name", "is used twice", "give each document its own name")
        yield from _check_labels(f"{where}.labels", mapping(metadata, "labels"))


def check_names(workload: Workload) -> Iterator[Finding]:
    """The longest pod name fits; pods carry the label that finds them; Kueue owns `suspend`."""
    longest = f"{workload.name}-{max(workload.pods - 1, 0)}-abcde"
    if len(longest) > MAX_LABEL:
        yield workload.of_document(
            "metadata.name",
            f"leads to the pod name {longest} of {len(longest)} characters",
            f"shorten it by {len(longest) - MAX_LABEL}",
        )
    labels = mapping(workload.document, "metadata", "labels")
    pod_labels = workload.pod_labels
    if not pod_labels.get(INSTANCE):
        yield workload.of_job(
            f"template.metadata.labels[{INSTANCE}]", "is missing", "write the job's name"
        )
    elif labels.get(INSTANCE, pod_labels[INSTANCE]) != pod_labels[INSTANCE]:
        yield workload.of_job(
            f"template.metadata.labels[{INSTANCE}]",
            f"{pod_labels[INSTANCE]!r} differs from the job's {labels[INSTANCE]!r}",
            "use one value",
        )
    yield from _check_labels(
        f"{title(workload.document)} {workload.path}.template.metadata.labels", pod_labels
    )
    spec = mapping(workload.document, "spec")
    if "suspend" in spec:
        reason = "Kueue owns it" if QUEUE in labels else "the job would never start"
        yield workload.of_document("spec.suspend", reason, "leave it out")
    if QUEUE in labels and not LABEL.fullmatch(str(labels[QUEUE])):
        yield workload.of_document(
            f"metadata.labels[{QUEUE}]",
            f"{labels[QUEUE]!r} is not the name of a queue",
            "name a LocalQueue of the namespace",
        )
    yield from _check_groups(workload)


def _check_groups(workload: Workload) -> Iterator[Finding]:
    spec = mapping(workload.document, "spec")
    groups = [group.get("name") for group in mappings(spec, "replicatedJobs")]
    first = groups and workload.group == groups[0]
    if workload.group and not LABEL.fullmatch(workload.group):
        yield workload.of_job("name", f"{workload.group!r} is not a valid name", "use a-z, 0-9, -")
    targets = sequence(spec, "successPolicy", "targetReplicatedJobs")
    for target in targets if first else ():
        if target not in groups:
            yield workload.of_document(
                "spec.successPolicy.targetReplicatedJobs",
                f"{target!r} is not a replicated job",
                f"use one of {groups}",
            )


def _check_labels(where: str, labels: Document) -> Iterator[Finding]:
    for key, value in labels.items():
        if not isinstance(value, str) or not _LABEL_VALUE.fullmatch(value):
            yield Finding(
                f"{where}[{key}]",
                f"{value!r} is not a label value",
                "use up to 63 letters, digits, '-', '_' and '.', in quotes",
            )


def _namespace(document: Document) -> str:
    return str(mapping(document, "metadata").get("namespace", ""))
