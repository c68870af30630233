"""One Job seen by the rules, whether it stands alone or inside a JobSet."""

import dataclasses
from collections.abc import Iterator

from launch.spec.documents import Document, mapping, mappings, title, whole


@dataclasses.dataclass(frozen=True)
class Finding:
    """One fault of a manifest.

    Attributes:
        where: kind, name and path of the field.
        problem: what is wrong, with the value.
        fix: what to write instead.
    """

    where: str
    problem: str
    fix: str

    def __str__(self) -> str:
        """One line for people."""
        return f"{self.where}: {self.problem}; {self.fix}"


@dataclasses.dataclass(frozen=True)
class Workload:
    """A Job's specification with where it was found.

    Attributes:
        document: the document that holds it.
        path: path of the Job's spec inside the document.
        name: name of the Job that results.
        subdomain: the DNS name under which its pods are found, or "".
        job: the Job's spec.
        group: name of the replicated job, or "" for a Job that stands alone.
    """

    document: Document
    path: str
    name: str
    subdomain: str
    job: Document
    group: str = ""

    @property
    def pod(self) -> Document:
        """The pod's spec; empty where it is missing."""
        return mapping(self.job, "template", "spec")

    @property
    def pod_labels(self) -> Document:
        """The pod's labels."""
        return mapping(self.job, "template", "metadata", "labels")

    @property
    def pod_annotations(self) -> Document:
        """The pod's annotations."""
        return mapping(self.job, "template", "metadata", "annotations")

    @property
    def volumes(self) -> list[Document]:
        """The pod's volumes."""
        return mappings(self.pod, "volumes")

    @property
    def namespace(self) -> str:
        """The namespace, or "" where none is given."""
        return str(mapping(self.document, "metadata").get("namespace", ""))

    @property
    def pods(self) -> int:
        """How many pods run at a time by the Job's own account."""
        return whole(self.job.get("completions"), 1)

    @property
    def is_sweep(self) -> bool:
        """Whether every index is retried for itself."""
        return "backoffLimitPerIndex" in self.job

    def containers(self) -> Iterator[tuple[str, Document]]:
        """Every container, init containers first, with its path inside the pod's spec."""
        for field in ("initContainers", "containers"):
            for index, container in enumerate(mappings(self.pod, field)):
                yield f"{field}[{index}]", container

    def of_containers(self, field: str) -> list[Document]:
        """The members of a list that each container may have, for example its ports."""
        return [one for _, container in self.containers() for one in mappings(container, field)]

    def of_document(self, field: str, problem: str, fix: str) -> Finding:
        """A finding on a field of the document."""
        return Finding(f"{title(self.document)} {field}", problem, fix)

    def of_job(self, field: str, problem: str, fix: str) -> Finding:
        """A finding on a field of the Job's spec."""
        return self.of_document(f"{self.path}.{field}", problem, fix)

    def of_pod(self, field: str, problem: str, fix: str) -> Finding:
        """A finding on a field of the pod's spec."""
        return self.of_job(f"template.spec.{field}", problem, fix)


def workloads(document: Document) -> Iterator[Workload]:
    """The Jobs of a document: one, that of a CronJob, the replicated ones of a JobSet, or none."""
    spec = mapping(document, "spec")
    name = str(mapping(document, "metadata").get("name", ""))
    if document.get("kind") == "Job":
        pod = mapping(spec, "template", "spec")
        yield Workload(document, "spec", name, str(pod.get("subdomain", "")), spec)
    elif document.get("kind") == "CronJob":
        job = mapping(spec, "jobTemplate", "spec")
        yield Workload(document, "spec.jobTemplate.spec", name, "", job)
    elif document.get("kind") == "JobSet":
        subdomain = str(mapping(spec, "network").get("subdomain", name))
        for index, group in enumerate(mappings(spec, "replicatedJobs")):
            job = mapping(group, "template", "spec")
            path = f"spec.replicatedJobs[{index}].template.spec"
            label = str(group.get("name", ""))
            yield Workload(document, path, f"{name}-{label}-0", subdomain, job, label)
