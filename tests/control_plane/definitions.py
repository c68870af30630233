"""The definitions of JobSet and Kueue as their projects publish them, from their Go modules.

They are fetched when they are needed and not kept here; the sums say that they are the same bytes.
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
_KINDS = {"JobSet", "ClusterQueue", "LocalQueue", "ResourceFlavor", "Workload"}
Document = dict[str, Any]


class UnavailableError(Exception):
    """The definitions cannot be had here; says why."""


def load() -> dict[str, Document]:
    """Kind -> its CustomResourceDefinition with the one version that the launcher writes.

    Raises:
        UnavailableError: Go is not installed, or the modules are out of reach.
    """
    found = {}
    for module, version, checksum in _MODULES:
        for path in sorted((_fetch(module, version, checksum) / _BASES).glob("*.yaml")):
            definition = yaml.safe_load(path.read_text())
            if (kind := definition["spec"]["names"]["kind"]) in _KINDS:
                found[kind] = _with_one_version(definition)
    return found


def schema(definition: Document) -> Document:
    """What a document of this kind must satisfy; a field that is not defined is a fault."""
    [version] = definition["spec"]["versions"]
    return _closed(version["schema"]["openAPIV3Schema"])


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
