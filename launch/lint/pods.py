"""Pods of one template, whatever makes them: the unit that most rules look at."""

import dataclasses
import functools
import re
from collections.abc import Iterator
from typing import Any

from common.cluster_description import VARIABLE
from launch.lint import commands
from launch.lint.commands import Program
from launch.spec.documents import Document, mapping, mappings, title, whole
from launch.spec.labels import MANAGED_BY, OURS

_MANY = 2  # as many as there are nodes: more than one
_REPLICAS = re.compile(r"spec\.(\w+)ReplicaSpecs\.(\w+)$")
# Kinds of Kubeflow Trainer that hold the JobSet which follows from a TrainJob.
RUNTIMES = ("TrainingRuntime", "ClusterTrainingRuntime")
_MAKERS = "Pod Job CronJob JobSet Deployment StatefulSet DaemonSet ReplicaSet"
_PLAIN = (*_MAKERS.split(), *RUNTIMES)
# A Job of a runtime with this label takes its image, command, variables and number of pods from the
# TrainJob, in the container that belongs to the label's value.
STEP = "trainer.kubeflow.org/trainjob-ancestor-step"
TRAINJOB = "TrainJob"
_KUBEFLOW = ("TFJob", "PyTorchJob", "XGBoostJob", "PaddleJob", "JAXJob")


@dataclasses.dataclass(frozen=True, eq=False)
class Pods:
    """The pods that are made from one template.

    Attributes:
        document: the document that holds the template.
        path: of the template inside the document; "" where the document is the pod itself.
        template: metadata and spec of the pods.
        owner: the specification that holds the template, for example that of a Job.
        owner_path: of that specification.
        kind: what makes the pods: Job (also inside a CronJob or a JobSet), Deployment, ...
        group: name of the replicated job or of the replica type, or "".
        copies: how many times the owner exists.
        trainjob: name of the TrainJob by which a runtime becomes a JobSet, or "".
    """

    document: Document
    path: str
    template: Document
    owner: Document
    owner_path: str
    kind: str
    group: str = ""
    copies: int = 1
    trainjob: str = ""

    @property
    def spec(self) -> Document:
        """The pods' spec."""
        return mapping(self.template, "spec")

    @property
    def annotations(self) -> Document:
        """The pods' annotations."""
        return mapping(self.template, "metadata", "annotations")

    @property
    def name(self) -> str:
        """Name of the document or of its TrainJob, or "" where the cluster makes it up."""
        if self.document.get("kind") in RUNTIMES:
            return self.trainjob
        return str(mapping(self.document, "metadata").get("name") or "")

    @property
    def namespace(self) -> str:
        """The namespace, or "" where none is given."""
        return str(mapping(self.document, "metadata").get("namespace") or "")

    @property
    def job(self) -> str:
        """Name of the Job that results, or of what else makes the pods."""
        jobset = self.kind == "Job" and self.group
        return f"{self.name}-{self.group}-0" if jobset and self.name else self.name

    @property
    def in_all(self) -> int:
        """How many pods have to run for one owner."""
        if self.kind == "Job":
            parallelism = whole(self.owner.get("parallelism"), 1)
            return whole(self.owner.get("completions"), parallelism)
        return _MANY if self.kind == "DaemonSet" else whole(self.owner.get("replicas"), 1)

    @property
    def at_once(self) -> int:
        """How many pods run at the same time, copies counted."""
        parallelism = whole(self.owner.get("parallelism"), 1) if self.kind == "Job" else self.in_all
        return min(parallelism, self.in_all) * self.copies

    @property
    def is_indexed(self) -> bool:
        """Whether each pod of a Job has a place of its own; a JobSet makes it so by default."""
        default = "Indexed" if self.group else "NonIndexed"
        return self.kind == "Job" and self.owner.get("completionMode", default) == "Indexed"

    @property
    def is_sweep(self) -> bool:
        """Whether every index of a Job is retried for itself."""
        return self.kind == "Job" and "backoffLimitPerIndex" in self.owner

    @property
    def subdomain(self) -> str:
        """The Service below which the pods have names, or ""."""
        if self.kind == "Job" and self.group:
            network = mapping(jobset_of(self.document)[0], "network")
            return str(network.get("subdomain") or self.name)
        if self.kind == "StatefulSet":
            return str(self.owner.get("serviceName") or "")
        return str(self.spec.get("subdomain") or "")

    @property
    def hosts(self) -> list[str]:
        """The host name of each pod that other pods can know, in order."""
        if not self.name or self.document.get("kind") == "CronJob":
            return []
        if self.kind == "Job":
            group = [f"{self.name}-{self.group}-{copy}" for copy in range(self.copies)]
            stems = group if self.group else [self.name]
            pods = range(self.in_all) if self.is_indexed else ()
            return [f"{stem}-{index}" for stem in stems for index in pods]
        if self.kind == "Pod":
            return [str(self.spec.get("hostname") or self.name)]
        if self.kind == "StatefulSet":
            first = whole(mapping(self.owner, "ordinals").get("start"), 0)
            return [f"{self.name}-{first + index}" for index in range(self.in_all)]
        if self.kind in _KUBEFLOW:
            return [f"{self.name}-{self.group.lower()}-{i}" for i in range(self.in_all)]
        return []

    @functools.cached_property
    def labels(self) -> Document:
        """The pods' labels, with those that controllers add."""
        labels = dict(mapping(self.template, "metadata", "labels"))
        if self.kind == "Job":
            keys = ["job-name", "batch.kubernetes.io/job-name"]
            labels = {**dict.fromkeys(keys, self.job), **labels}
            if self.group:
                prefix = "jobset.sigs.k8s.io"
                added = {"jobset-name": self.name, "replicatedjob-name": self.group}
                labels |= {f"{prefix}/{key}": value for key, value in added.items()}
        elif self.kind in _KUBEFLOW:
            prefix = "training.kubeflow.org"
            added = {"job-name": self.name, "replica-type": self.group.lower()}
            labels |= {f"{prefix}/{key}": value for key, value in added.items()}
        return labels

    @property
    def volumes(self) -> list[Document]:
        """The pods' volumes."""
        return mappings(self.spec, "volumes")

    def containers(self, field: str = "") -> Iterator[tuple[str, Document]]:
        """Every container, init containers first, with its path inside the pod's spec."""
        for each in (field,) if field else ("initContainers", "containers"):
            for index, container in enumerate(mappings(self.spec, each)):
                yield f"{each}[{index}]", container

    def of_containers(self, field: str) -> list[Document]:
        """The members of a list that each container may have, for example its ports."""
        return [one for _, container in self.containers() for one in mappings(container, field)]

    @property
    def named_ports(self) -> dict[object, Any]:
        """Name -> number of the ports that the containers declare with a name."""
        return {port.get("name"): port.get("containerPort") for port in self.of_containers("ports")}

    @functools.cached_property
    def programs(self) -> list[Program]:
        """What the containers run, as far as the manifest tells."""
        return [
            program
            for path, container in self.containers()
            for program in commands.programs(path, container)
        ]

    @functools.cached_property
    def trainers(self) -> list[Program]:
        """The runs of Lockstep's trainer among them."""
        return [one for one in self.programs if one.trainer_args is not None]

    @functools.cached_property
    def is_ours(self) -> bool:
        """Whether Lockstep made the pods, or its trainer runs in them."""
        labels = mapping(self.template, "metadata", "labels")
        return labels.get(MANAGED_BY) == OURS or bool(self.trainers)

    @property
    def is_plain(self) -> bool:
        """Whether it is known what the controller adds to the pods: variables and labels."""
        return str(self.document.get("kind")) in _PLAIN and self.kind not in ("other Job", TRAINJOB)

    @property
    def is_template(self) -> bool:
        """Whether they are of a runtime that no TrainJob of the files runs."""
        return self.document.get("kind") in RUNTIMES and not self.trainjob

    @property
    def is_cluster(self) -> bool:
        """Whether the pods of a Job work on one run together."""
        return self.in_all > 1 and not self.is_sweep

    @functools.cached_property
    def is_described(self) -> bool:
        """Whether the pods of a Job are told their peers, and so work on one run together."""
        found = (VARIABLE in commands.variables(container) for _, container in self.containers())
        return self.is_cluster and any(found)

    def at(self, field: str) -> str:
        """The place of a field of the pods' spec, for a finding."""
        return self.of_document(f"{self.path}.spec.{field}".lstrip("."))

    def of_template(self, field: str) -> str:
        """The place of a field beside the pods' spec, for example of a label."""
        return self.of_document(f"{self.path}.{field}".lstrip("."))

    def of_owner(self, field: str) -> str:
        """The place of a field beside the template, for example of a Job's spec."""
        return self.of_document(f"{self.owner_path}.{field}".lstrip("."))

    def of_document(self, field: str) -> str:
        """The place of a field of the document."""
        return f"{title(self.document)} {field}"


def jobset_of(document: Document) -> tuple[Document, str]:
    """The spec of the JobSet that a document is, or holds as a template, and its path."""
    path = ("spec", "template", "spec") if document.get("kind") in RUNTIMES else ("spec",)
    return mapping(document, *path), ".".join(path)


def pods_of(document: Document, trainjob: str = "") -> list[Pods]:
    """The pods of a document: every template in it, also in kinds that nobody here knows.

    Args:
        document: that is looked at.
        trainjob: name of the TrainJob that runs it, where it is a runtime and that is known.
    """
    if document.get("kind") == "Pod":
        return [Pods(document, "", document, document, "", "Pod")]
    found = _search(document, mapping(document, "spec"), "spec", "", 1)
    return [dataclasses.replace(pods, trainjob=trainjob) for pods in found]


def _search(document: Document, node: object, path: str, group: str, copies: int) -> Iterator[Pods]:
    if isinstance(node, list):
        for index, member in enumerate(node):
            yield from _search(document, member, f"{path}[{index}]", group, copies)
        return
    if not isinstance(node, dict):
        return
    for key, value in node.items():
        below = f"{path}.{key}"
        if _is_template(str(key), value):
            yield Pods(document, below, value, node, path, *_kind(document, path, group), copies)
        elif isinstance(value, dict | list):
            named, times = group, copies
            if re.search(r"\.replicatedJobs\[\d+\]$", path):
                named, times = str(node.get("name", "")), whole(node.get("replicas"), 1)
            yield from _search(document, value, below, named, times)


def _is_template(key: str, value: object) -> bool:
    spec = mapping(value, "spec")
    return key.lower().endswith("template") and isinstance(spec.get("containers"), list)


def _kind(document: Document, owner_path: str, group: str) -> tuple[str, str]:
    """What makes the pods, and the group that they belong to."""
    kind = str(document.get("kind", ""))
    if found := _REPLICAS.search(owner_path):
        return kind, found[2]
    if kind in RUNTIMES and _is_step(document, group):
        return TRAINJOB, group
    if group or kind == "CronJob":
        return "Job", group
    return ("other Job" if kind == "Job" and not _is_batch(document) else kind), group


def _is_step(document: Document, group: str) -> bool:
    """Whether a TrainJob has a say about the pods of a replicated job."""
    return any(
        STEP in mapping(one, "template", "metadata", "labels") and one.get("name") == group
        for one in mappings(jobset_of(document)[0], "replicatedJobs")
    )


def _is_batch(document: Document) -> bool:
    """Whether a Job is that of Kubernetes: others have a kind of this name too."""
    return str(document.get("apiVersion", "")).rpartition("/")[0] in ("batch", "")
