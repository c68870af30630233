"""Schemas: built-in kinds by Kubernetes version; those of JobSet, Kueue and Kubeflow Trainer.

`custom_resources.json` names its sources and how they were cut; it holds no kind of others.
"""

import functools
import importlib.resources
import json
from collections.abc import Iterator, Sequence
from typing import Any

from launch.lint.finding import Finding, error
from launch.lint.pods import pods_of
from launch.spec.documents import Document, title
from launch.spec.user_input import bad_flag

OLDEST = "1.33"
# Versions that are still served beside the one whose schema is carried.
_ALSO_SERVED = ("kueue.x-k8s.io/v1beta1",)
_NAMES = (
    "admissionregistration apiextensions apiregistration authentication authorization certificates "
    "coordination discovery events flowcontrol.apiserver internal.apiserver networking node "
    "rbac.authorization resource scheduling storage storagemigration"
)
_GROUPS = frozenset(_NAMES.split())


@functools.cache
def versions() -> tuple[str, ...]:
    """The Kubernetes versions that are checked: the oldest supported and the newest known.

    Raises:
        RunError: BAD_FLAG where the schemas are not installed.
    """
    try:
        from kubernetes_validate import utils
    except ImportError:
        raise bad_flag(
            "--schemas needs the package kubernetes-validate; "
            "install it or use --noschemas for the semantic rules alone"
        ) from None
    known = utils.all_versions()
    return (next(one for one in known if one.startswith(f"{OLDEST}.")), known[-1])


def check_schemas(documents: Sequence[Document]) -> Iterator[Finding]:
    """The first schema fault of every document for every version."""
    for document in documents:
        kind, version = str(document.get("kind")), str(document.get("apiVersion") or "")
        if not version or not document.get("kind"):
            continue
        if kind in custom_resources() and not _is_builtin(version):
            if version not in _ALSO_SERVED:
                yield from _check_custom(document, custom_resources()[kind])
            for pods in pods_of(document):
                head = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "inner"}}
                where = pods.of_document(pods.owner_path.removesuffix(".spec") + ":")
                yield from _check_builtin({**head, "spec": pods.owner}, where)
        elif _is_builtin(version):
            yield from _check_builtin(document, title(document))


@functools.cache
def custom_resources() -> dict[str, dict[str, Any]]:
    """Kind -> schema of JobSet, and of kinds of Kueue and Kubeflow Trainer."""
    file = importlib.resources.files(__package__).joinpath("custom_resources.json")
    schemas: dict[str, dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))["schemas"]
    return schemas


def has_schema(version: str, kind: str) -> bool:
    """Whether the fields of a kind can be checked."""
    return is_known(version, kind) and version not in _ALSO_SERVED


def is_known(version: str, kind: str) -> bool:
    """Whether the rules know what a kind may refer to."""
    return _is_builtin(version) or (kind in custom_resources() and "." in version)


def _is_builtin(version: str) -> bool:
    """Whether Kubernetes itself defines this group; nobody knows the schemas of all others."""
    group, slash, _ = version.rpartition("/")
    return not slash or "." not in group or group.removesuffix(".k8s.io") in _GROUPS


def _check_builtin(document: Document, where: str) -> Iterator[Finding]:
    from jsonschema.exceptions import best_match  # type: ignore[import-untyped] # it has no stubs

    faults = {}
    for version in versions():
        validator = _validator(version, str(document["apiVersion"]), str(document["kind"]))
        if validator is None:
            yield error(where, f"Kubernetes {version} has no such kind", "check apiVersion, kind")
        else:
            faults[version] = best_match(validator.iter_errors(document))
    for version, fault in faults.items():
        # What one version lists as required and another does not has a default on the server.
        defaulted = fault and fault.validator == "required" and None in faults.values()
        if fault and not defaulted:
            yield _finding(where, fault, f"see the schema of Kubernetes {version}")


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


def _check_custom(document: Document, schema: dict[str, Any]) -> Iterator[Finding]:
    import jsonschema

    # The server adds a status, and a flavor of no labels needs no spec.
    document = {"spec": {}, **document} if document["kind"] == "ResourceFlavor" else document
    document = {key: value for key, value in document.items() if key != "status"}
    for fault in jsonschema.Draft202012Validator(schema).iter_errors(document):
        yield _finding(title(document), fault, "see the definition of this kind")


def _finding(where: str, fault: Any, fix: str) -> Finding:
    path = ".".join(str(part) for part in fault.absolute_path)
    message = fault.message if len(fault.message) < 200 else fault.message[:197] + "..."
    return error(f"{where} {path}".strip(), message, fix)
