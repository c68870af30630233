"""Schemas: built-in kinds by Kubernetes version, and what we use of JobSet and Kueue."""

import functools
from collections.abc import Iterator, Sequence
from typing import Any

from common.exit_codes import ExitCode, RunError
from launch.documents import Document
from launch.lint.finding import Finding
from launch.lint.workload import title, workloads

OLDEST = "1.33"


@functools.cache
def versions() -> tuple[str, ...]:
    """The Kubernetes versions that are checked: the oldest supported and the newest known.

    Raises:
        RunError: BAD_FLAG where the schemas are not installed.
    """
    try:
        from kubernetes_validate import utils
    except ImportError:
        raise RunError(
            ExitCode.BAD_FLAG,
            "--schemas needs the package kubernetes-validate; "
            "install it or use --noschemas for the semantic rules alone",
        ) from None
    known = utils.all_versions()
    return (next(one for one in known if one.startswith(f"{OLDEST}.")), known[-1])


def check_schemas(documents: Sequence[Document]) -> Iterator[Finding]:
    """The first schema fault of every document for every version."""
    for document in documents:
        if crd := CUSTOM.get(str(document.get("kind"))):
            yield from _check_custom(document, crd)
            for workload in workloads(document):
                head = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "inner"}}
                yield from _check_builtin({**head, "spec": workload.job}, title(document))
        elif {"apiVersion", "kind"} <= document.keys() and _is_builtin(str(document["apiVersion"])):
            yield from _check_builtin(document, title(document))


def _is_builtin(version: str) -> bool:
    """Whether Kubernetes itself defines this group; nobody knows the schemas of all others."""
    group, slash, _ = version.rpartition("/")
    return not slash or "." not in group or group.endswith(".k8s.io")


def _check_builtin(document: Document, where: str) -> Iterator[Finding]:
    from jsonschema.exceptions import best_match  # type: ignore[import-untyped] # it has no stubs

    for version in versions():
        validator = _validator(version, str(document["apiVersion"]), str(document["kind"]))
        if validator is None:
            yield Finding(where, f"Kubernetes {version} has no such kind", "check apiVersion, kind")
        elif error := best_match(validator.iter_errors(document)):
            yield _finding(where, error, f"see the schema of Kubernetes {version}")


@functools.cache
def _validator(version: str, api_version: str, kind: str) -> Any:
    """The strict schema of a kind, or None where this Kubernetes has none."""
    import jsonschema  # type: ignore[import-untyped] # it has no stubs
    from kubernetes_validate import utils
    from referencing import Resource

    group, _, name = api_version.rpartition("/")
    short = "-".join(filter(None, (group.partition(".")[0], name)))
    try:
        schema = utils.schema_contents(f"{_folder(version)}/{kind.lower()}-{short}.json", version)
    except FileNotFoundError:
        return None
    registry = Resource.from_contents(schema) @ _definitions(version)
    return jsonschema.Draft202012Validator(schema, registry=registry)


@functools.cache
def _definitions(version: str) -> Any:
    """What all schemas of a version refer to: megabytes, read once."""
    from kubernetes_validate import utils
    from referencing import Registry, Resource

    shared = utils.schema_contents(f"{_folder(version)}/_definitions.json", version)
    return Resource.from_contents(shared) @ Registry()


def _folder(version: str) -> str:
    return f"kubernetes-json-schema/v{version}-local-strict"


def _check_custom(document: Document, crd: dict[str, Any]) -> Iterator[Finding]:
    import jsonschema

    for error in jsonschema.Draft202012Validator(crd).iter_errors(document):
        yield _finding(title(document), error, "see the definition of this kind")


def _finding(where: str, error: Any, fix: str) -> Finding:
    path = ".".join(str(part) for part in error.absolute_path)
    message = error.message if len(error.message) < 200 else error.message[:197] + "..."
    return Finding(f"{where} {path}".strip(), message, fix)


def _object(required: str = "", **properties: object) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": required.split(),
        "properties": properties,
    }


def _list(items: object) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _kind(version: str, kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    return _object(
        "apiVersion kind metadata spec",
        apiVersion={"const": version},
        kind={"const": kind},
        metadata={"type": "object"},
        spec=spec,
    )


_TEXT = {"type": "string"}
_TEXTS = _list(_TEXT)
_FLAG = {"type": "boolean"}
_COUNT = {"type": "integer", "minimum": 0}
_ANY = {"type": "object"}
_QUANTITY = {"type": ["string", "integer"]}
_DEPENDENCY = _object("name status", name=_TEXT, status={"enum": ["Ready", "Complete"]})
_GROUP = _object(
    "name template",
    name=_TEXT,
    replicas=_COUNT,
    groupName=_TEXT,
    dependsOn=_list(_DEPENDENCY),
    template=_object("spec", metadata=_ANY, spec=_ANY),
)
_RULE = _object(
    "name action",
    name=_TEXT,
    action={"enum": ["FailJobSet", "RestartJobSet", "RestartJobSetAndIgnoreMaxRestarts"]},
    targetReplicatedJobs=_TEXTS,
    onJobFailureReasons=_TEXTS,
    onJobFailureMessagePatterns=_TEXTS,
)
_JOBSET = _object(
    "replicatedJobs",
    replicatedJobs=_list(_GROUP),
    network=_object(enableDNSHostnames=_FLAG, subdomain=_TEXT, publishNotReadyAddresses=_FLAG),
    successPolicy=_object(
        "operator", operator={"enum": ["All", "Any"]}, targetReplicatedJobs=_TEXTS
    ),
    failurePolicy=_object(
        maxRestarts=_COUNT,
        restartStrategy={"enum": ["Recreate", "BlockingRecreate"]},
        rules=_list(_RULE),
    ),
    suspend=_FLAG,
    ttlSecondsAfterFinished=_COUNT,
    managedBy=_TEXT,
    coordinator=_ANY,
)
_FLAVOR = _object(
    "name resources",
    name=_TEXT,
    resources=_list(_object("name nominalQuota", name=_TEXT, nominalQuota=_QUANTITY)),
)
_CLUSTER_QUEUE = _object(
    cohortName=_TEXT,
    namespaceSelector=_ANY,
    queueingStrategy={"enum": ["StrictFIFO", "BestEffortFIFO"]},
    preemption=_ANY,
    resourceGroups=_list(
        _object("coveredResources flavors", coveredResources=_TEXTS, flavors=_list(_FLAVOR))
    ),
)
_KUEUE = "kueue.x-k8s.io/v1beta2"
CUSTOM = {
    "JobSet": _kind("jobset.x-k8s.io/v1alpha2", "JobSet", _JOBSET),
    "ClusterQueue": _kind(_KUEUE, "ClusterQueue", _CLUSTER_QUEUE),
    "LocalQueue": _kind(_KUEUE, "LocalQueue", _object("clusterQueue", clusterQueue=_TEXT)),
    "ResourceFlavor": _kind(
        _KUEUE,
        "ResourceFlavor",
        _object(nodeLabels=_ANY, nodeTaints=_list(_ANY), tolerations=_list(_ANY)),
    ),
    "PodMonitor": _kind(
        "monitoring.coreos.com/v1",
        "PodMonitor",
        _object("selector", selector=_ANY, podMetricsEndpoints=_list(_ANY)),
    ),
}
