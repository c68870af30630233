"""The definitions of JobSet and Kueue as their projects publish them, from their Go modules.

They are fetched when they are needed; the sums say that they are the same bytes. The linter carries
the part that it checks: `python -m tests.control_plane.definitions` writes it again.
"""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

_BASES = "config/components/crd/bases"
# Module, version, its checksum as Go computes it.
_MODULES = (
    ("sigs.k8s.io/jobset", "v0.10.1", "h1:u8QKifNsrWVrlRFe6w2ofYTqFT9ma2DRHxfeB2m9xyU="),
    ("sigs.k8s.io/kueue", "v0.15.0", "h1:9Khzc2ne6/eWuZx5o+R4KlVBzh3kZkTIMzpPC2e8Spg="),
)
_VERSIONS = {"jobset.x-k8s.io": "v1alpha2", "kueue.x-k8s.io": "v1beta2"}
CARRIED = Path(__file__).parents[2] / "launch" / "lint" / "custom_resources.json"
_NOTICE = (
    "Schemas of the custom resources of JobSet and Kueue, which are published under the Apache "
    "License 2.0, copyright The Kubernetes Authors. Cut: one version of each; no status, no "
    "descriptions, no x-kubernetes extensions; the Jobs of a JobSet are any objects, for they are "
    "checked by the schema of Job. Added: an object that names its fields has no others; "
    "apiVersion, kind, metadata and spec are required."
)
# What the linter knows; the controllers need all.
_KINDS = {"JobSet", "ClusterQueue", "LocalQueue", "ResourceFlavor", "Workload"}
Document = dict[str, Any]


class UnavailableError(Exception):
    """The definitions cannot be had here; says why."""


def load() -> dict[str, Document]:
    """Kind -> its CustomResourceDefinition with the one version that the launcher writes.

    Raises:
        UnavailableError: Go is not installed, or the modules are out of reach.
    """
    return {kind: definition for kind, definition in every().items() if kind in _KINDS}


def every() -> dict[str, Document]:
    """The same for all kinds that the two controllers look for."""
    paths = [path for name, *_ in _MODULES for path in (module(name) / _BASES).glob("*.yaml")]
    read = [yaml.safe_load(path.read_text()) for path in sorted(paths)]
    return {one["spec"]["names"]["kind"]: _with_one_version(one) for one in read}


def module(name: str) -> Path:
    """The folder of one of the two modules.

    Raises:
        UnavailableError: Go is not installed, or the modules are out of reach.
    """
    return _fetch(*next(one for one in _MODULES if one[0] == name))


def schema(definition: Document) -> Document:
    """What a document of this kind must satisfy; a field that is not defined is a fault."""
    [version] = definition["spec"]["versions"]
    return _closed(version["schema"]["openAPIV3Schema"])


def carried() -> Document:
    """What the linter carries: kind -> schema, cut as the notice says."""
    defined = load()
    kinds = sorted(_KINDS - {"Workload"})
    sources = [f"{module}/{_BASES} {version}" for module, version, _ in _MODULES]
    schemas = {kind: _cut(defined[kind]) for kind in kinds}
    return {"notice": _NOTICE, "sources": sources, "schemas": schemas}


def _cut(definition: Document) -> Document:
    group, names = definition["spec"]["group"], definition["spec"]["names"]
    whole = schema(definition)
    fields = {key: whole["properties"][key] for key in ("metadata", "spec")}
    if names["kind"] == "JobSet":
        groups = fields["spec"]["properties"]["replicatedJobs"]["items"]["properties"]
        groups["template"]["properties"]["spec"] = {"type": "object"}
    fields |= {
        "apiVersion": {"const": f"{group}/{_VERSIONS[group]}"},
        "kind": {"const": names["kind"]},
    }
    return _plain({**whole, "properties": fields, "required": sorted(fields)})


def _plain(part: Any) -> Any:
    """The schema without what a validator of JSON Schema does not read."""
    if isinstance(part, list):
        return [_plain(one) for one in part]
    if not isinstance(part, dict):
        return part
    return {
        key: _plain(value)
        for key, value in part.items()
        # A field may be called `description`, a description is a text.
        if not key.startswith("x-kubernetes-")
        and not (key == "description" and isinstance(value, str))
    }


def _fetch(module: str, version: str, checksum: str) -> Path:
    if shutil.which("go") is None:
        raise UnavailableError("Go is not installed")
    command = ["go", "mod", "download", "-json", f"{module}@{version}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    answer = json.loads(done.stdout or "{}")
    if "Dir" not in answer:
        raise UnavailableError(f"{module}@{version}: {answer.get('Error') or done.stderr}")
    if answer["Sum"] != checksum:
        raise ValueError(f"{module}@{version} has the checksum {answer['Sum']}, not {checksum}")
    return Path(answer["Dir"])


def _with_one_version(definition: Document) -> Document:
    wanted = _VERSIONS[definition["spec"]["group"]]
    [version] = [one for one in definition["spec"]["versions"] if one["name"] == wanted]
    # Without the older version nothing has to be converted, and no webhook is needed for it.
    spec = {**definition["spec"], "versions": [{**version, "storage": True}]}
    return {**definition, "spec": spec}


def _closed(part: Any) -> Any:
    """The schema with every object closed that names its fields, as the API server prunes them."""
    if isinstance(part, list):
        return [_closed(one) for one in part]
    if not isinstance(part, dict):
        return part
    closed = {key: _closed(value) for key, value in part.items()}
    fields = part.get("properties")
    if isinstance(fields, dict) and not part.get("x-kubernetes-preserve-unknown-fields"):
        closed.setdefault("additionalProperties", False)
    return closed


if __name__ == "__main__":
    CARRIED.write_text(json.dumps(carried(), indent=1) + "\n", encoding="utf-8")
