"""A semantic linter for training manifests: what schemas accept and clusters then punish."""

from collections.abc import Iterator, Sequence

from launch.lint.containers import check_containers, check_environment
from launch.lint.devices import check_devices
from launch.lint.identity import check_documents, check_names
from launch.lint.network import check_network
from launch.lint.retries import check_retries
from launch.lint.security import check_security
from launch.lint.workload import Finding, workloads
from launch.spec.documents import Document

_WORKLOAD_RULES = (
    check_names,
    check_retries,
    check_security,
    check_containers,
    check_environment,
    check_devices,
)


def lint(documents: Sequence[Document]) -> list[Finding]:
    """Every fault found in the documents of one or more jobs, in the order of the documents."""
    return list(_all(documents))


def _all(documents: Sequence[Document]) -> Iterator[Finding]:
    yield from check_documents(documents)
    # A JobSet holds several Jobs: every rule sees one Job, wherever it stands.
    found = [workload for document in documents for workload in workloads(document)]
    for workload in found:
        for rule in _WORKLOAD_RULES:
            yield from rule(workload)
    yield from check_network(documents, found)


__all__ = ["lint"]
