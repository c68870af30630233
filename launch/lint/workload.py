"""One Job seen by the rules, whether it stands alone or inside a JobSet."""

import dataclasses
from collections.abc import Iterator
from typing import Any

from launch.documents import Document
from launch.lint.finding import Finding


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
        return mapping(mapping(self.job.get("template")).get("spec"))

    @property
    def pod_metadata(self) -> Document:
        """The pod's metadata; empty where it is missing."""
        return mapping(mapping(self.job.get("template")).get("metadata"))

    @property
    def namespace(self) -> str:
        """The namespace, or "" where none is given."""
        return str(mapping(self.document.get("metadata")).get("namespace", ""))

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
            for index, container in enumerate(sequence(self.pod.get(field))):
                yield f"{field}[{index}]", mapping(container)

    def of_job(self, field: str, problem: str, fix: str) -> Finding:
        """A finding on a field of the Job's spec."""
        return Finding(f"{title(self.document)} {self.path}.{field}", problem, fix)

    def of_pod(self, field: str, problem: str, fix: str) -> Finding:
        """A finding on a field of the pod's spec."""
        return self.of_job(f"template.spec.{field}", problem, fix)


def workloads(document: Document) -> Iterator[Workload]:
    """The Jobs of a document: one, that of a CronJob, the replicated ones of a JobSet, or none."""
    spec = mapping(document.get("spec"))
    name = str(mapping(document.get("metadata")).get("name", ""))
    if document.get("kind") == "Job":
        pod = mapping(mapping(spec.get("template")).get("spec"))
        yield Workload(document, "spec", name, str(pod.get("subdomain", "")), spec)
    elif document.get("kind") == "CronJob":
        job = mapping(mapping(spec.get("jobTemplate")).get("spec"))
        yield Workload(document, "spec.jobTemplate.spec", name, "", job)
    elif document.get("kind") == "JobSet":
        subdomain = str(mapping(spec.get("network")).get("subdomain", name))
        for index, group in enumerate(sequence(spec.get("replicatedJobs"))):
            job = mapping(mapping(mapping(group).get("template")).get("spec"))
            path = f"spec.replicatedJobs[{index}].template.spec"
            group_name = str(mapping(group).get("name", ""))
            yield Workload(document, path, f"{name}-{group_name}-0", subdomain, job, group_name)


def title(document: Document) -> str:
    """Kind and name of a document."""
    name = mapping(document.get("metadata")).get("name", "")
    return f"{document.get('kind', 'no kind')}/{name}"


def mapping(value: object) -> dict[str, Any]:
    """The value if it is an object, else an empty one: schemas report the wrong type."""
    return value if isinstance(value, dict) else {}


def sequence(value: object) -> list[Any]:
    """The value if it is a list, else an empty one: schemas report the wrong type."""
    return value if isinstance(value, list) else []


def whole(value: object, default: int) -> int:
    """The value if it is a whole number, else the default."""
    return value if isinstance(value, int) and not isinstance(value, bool) else default
