"""A semantic linter for manifests: what schemas accept and clusters then punish.

The documents become a model of what refers to what (`objects`, `pods`, `commands`, `references`,
`addresses`); the rules ask it. Each file of rules says in its first line what it is about.
"""

from collections.abc import Iterator, Sequence

from launch.lint.addresses import check_addresses
from launch.lint.clusters import check_clusters
from launch.lint.dangling import Lookup, check_references
from launch.lint.enums import check_enums
from launch.lint.finding import Finding, Level
from launch.lint.jobs import check_jobs
from launch.lint.jobsets import check_jobsets
from launch.lint.keys import check_keys
from launch.lint.names import check_names
from launch.lint.nodes import check_nodes
from launch.lint.objects import Objects
from launch.lint.policies import check_policies
from launch.lint.quantities import check_quantities
from launch.lint.queues import check_queues
from launch.lint.retries import check_retries
from launch.lint.schedules import check_schedules
from launch.lint.security import check_security
from launch.lint.selectors import check_selectors
from launch.lint.services import check_services
from launch.lint.training import check_hosts, check_sharing, check_training
from launch.lint.trainjobs import check_trainjobs
from launch.lint.variables import check_variables
from launch.lint.volumes import check_volumes
from launch.lint.words import check_words
from launch.spec.documents import Document, mapping, title
from launch.spec.labels import MANAGED_BY, OURS

_OF_OBJECTS = (
    check_names,
    check_keys,
    check_enums,
    check_selectors,
    check_services,
    check_addresses,
    check_policies,
    check_queues,
    check_trainjobs,
    check_sharing,
)
_OF_PODS = (
    check_jobs,
    check_retries,
    check_words,
    check_variables,
    check_clusters,
    check_quantities,
    check_nodes,
    check_training,
)
_OF_BOTH = (check_volumes, check_security, check_hosts)


def lint(
    documents: Sequence[Document],
    beside: Sequence[Document] = (),
    lookup: Lookup | None = None,
    strict: bool = False,
) -> list[Finding]:
    """Every fault found in the documents of one file, the gravest first; no notes.

    Args:
        documents: of the file.
        beside: of the files that are applied together with it.
        lookup: asks a cluster for what the files do not hold; None: no cluster is asked.
        strict: whether documents that Lockstep has not made are held to its style too.
    """
    found = dict.fromkeys(_all(Objects(documents, beside), lookup))
    made_here = {title(one) for one in documents if _is_made_here(one)}
    kept = (one for one in found if strict or _is_kept(one, made_here))
    return sorted(
        (one for one in kept if one.level is not Level.NOTE), key=lambda one: one.level.rank
    )


def missing(documents: Sequence[Document], beside: Sequence[Document] = ()) -> list[Finding]:
    """A note for everything that the files name and only the cluster can hold."""
    found = check_references(Objects(documents, beside))
    notes = {one.problem: one for one in found if one.level is Level.NOTE}
    return list(notes.values())


def _is_made_here(document: Document) -> bool:
    return mapping(document, "metadata", "labels").get(MANAGED_BY) == OURS


def _is_kept(finding: Finding, made_here: set[str]) -> bool:
    return finding.level is not Level.STYLE or finding.where.partition(" ")[0] in made_here


def _all(objects: Objects, lookup: Lookup | None) -> Iterator[Finding]:
    yield from check_references(objects, lookup)
    for rule in _OF_OBJECTS:
        yield from rule(objects)
    for document in objects.documents:
        yield from check_schedules(document)
        yield from check_jobsets(objects, document)
    for pods in objects.pods:
        for each in _OF_PODS:
            yield from each(pods)
        for both in _OF_BOTH:
            yield from both(objects, pods)


__all__ = ["lint", "missing"]
