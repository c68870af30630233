"""References without a target: in these files and, with `--cluster`, in the cluster."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from launch.lint.finding import Finding, error, note
from launch.lint.names import is_subdomain
from launch.lint.objects import CLUSTER_WIDE, Objects, name_of, namespace_of
from launch.lint.references import Reference, references, unused
from launch.lint.slips import did_you_mean
from launch.spec.documents import Document, mapping

Lookup = Callable[[str, str, str], Document | None]
"""Kind, namespace and name to the object of a cluster; None where it has none."""

# What follows where the object is missing.
_CONSEQUENCES = {
    "ServiceAccount": "no pod is made",
    "PriorityClass": "no pod is made",
    "RuntimeClass": "no pod is made",
    "ConfigMap": "the container does not start",
    "Secret": "the container does not start",
    "PersistentVolumeClaim": "the pods stay Pending",
    "PersistentVolume": "the claim stays Pending",
    "StorageClass": "the claim stays Pending",
    "LocalQueue": "the job waits for ever",
    "ClusterQueue": "its jobs wait for ever",
    "ResourceFlavor": "its jobs wait for ever",
    "TrainingRuntime": "the TrainJob is refused",
    "ClusterTrainingRuntime": "the TrainJob is refused",
    "Service": "nothing answers to its name",
    "Role": "it grants nothing",
    "ClusterRole": "it grants nothing",
}
# Kinds that exist in a namespace and for all of them.
_OTHERS = {
    "Role": "ClusterRole",
    "ClusterRole": "Role",
    "TrainingRuntime": "ClusterTrainingRuntime",
    "ClusterTrainingRuntime": "TrainingRuntime",
}
# Kinds whose names may hold other letters.
_FREE = ("Role", "ClusterRole")
# What every cluster has, or makes.
_ALWAYS = {
    "ServiceAccount": {"default"},
    "PriorityClass": {"system-cluster-critical", "system-node-critical"},
    "ClusterRole": {"view", "edit", "admin", "cluster-admin"},
    "ConfigMap": {"kube-root-ca.crt"},
    "StorageClass": {"standard", "standard-rwo", "premium-rwo", "gp2", "gp3", "default"},
}


def check_references(objects: Objects, lookup: Lookup | None = None) -> Iterator[Finding]:
    """Every reference that cannot be resolved; notes on what only the cluster can hold.

    Args:
        objects: of the files.
        lookup: asks a cluster; None where no cluster is asked.
    """
    found = references(objects)
    for reference in found:
        held = objects.find(reference.kind, reference.namespace, reference.name)
        if reference.kind not in _FREE and not is_subdomain(reference.name):
            yield error(
                reference.where,
                f"no {reference.kind} can be called {reference.name!r}",
                "names are lower-case letters, digits, '-' and '.'",
            )
        elif held is not None:
            yield from _check_keys(reference, held, "the file's")
        elif not reference.optional and not _is_made(objects, reference):
            yield from _check_missing(objects, reference, found, lookup)


def _is_made(objects: Objects, reference: Reference) -> bool:
    """Whether every cluster has the object, or a controller makes it."""
    if reference.name in _ALWAYS.get(reference.kind, ()) or reference.name.startswith("system:"):
        return True
    return reference.kind == "Service" and any(
        reference.name in one.hosts for one in objects.all_pods
    )


def _check_missing(
    objects: Objects, reference: Reference, all_references: list[Reference], lookup: Lookup | None
) -> Iterator[Finding]:
    kind, name = reference.kind, reference.name
    problem = f"no {kind} {name!r}"
    follows = _CONSEQUENCES.get(kind, "it is refused or waits for ever")
    held = [name_of(one) for one in objects.of_kind(kind, reference.namespace)]
    elsewhere = [namespace_of(one) for one in objects.of_kind(kind) if name_of(one) == name]
    near = did_you_mean(name, held)
    orphans = unused(objects, reference, all_references)
    other = _OTHERS.get(kind, "")
    if other and objects.find(other, reference.namespace, name):
        yield error(reference.where, f"{problem} but a {other}: {follows}", f"write {other}")
    elif elsewhere:
        text = f"{problem} in namespace {reference.namespace!r} but in {elsewhere[0]!r}: {follows}"
        yield error(reference.where, text, "put both into one namespace")
    elif near:
        yield error(reference.where, f"{problem}: {follows}", near)
    elif orphans:
        text = f"{problem}, and nothing uses {kind} {orphans[0]!r}: {follows}"
        yield error(reference.where, text, f"write {orphans[0]!r}, or add {name!r}")
    elif lookup is not None:
        yield from _ask(reference, lookup, f"{problem} in the files or in the cluster: {follows}")
    else:
        place = "" if kind in CLUSTER_WIDE else f" in namespace {reference.namespace or 'default'}"
        yield note(
            reference.where,
            f"{kind} {name!r} is not in these files: the cluster has to hold it{place}",
            "`launch lint --cluster` asks for it",
        )


def _ask(reference: Reference, lookup: Lookup, missing: str) -> Iterator[Finding]:
    found = lookup(reference.kind, reference.namespace, reference.name)
    if found is None:
        yield error(reference.where, missing, f"make it, or name another {reference.kind}")
    else:
        yield from _check_keys(reference, found, "the cluster's")


def _check_keys(reference: Reference, held: Document, whose: str) -> Iterator[Finding]:
    fields = ("data", "binaryData", "stringData")
    known: Mapping[str, Any] = {k: v for field in fields for k, v in mapping(held, field).items()}
    for key in reference.keys if not reference.optional else ():
        if key not in known:
            yield error(
                reference.where,
                f"{whose} {reference.kind} {reference.name!r} has no key {key!r}: the container "
                "does not start",
                did_you_mean(key, known) or f"one of {sorted(known)}",
            )
