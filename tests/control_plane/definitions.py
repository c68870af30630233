"""The definitions of JobSet, Kueue and Kubeflow Trainer as published, from their Go modules.

They are fetched when they are needed; the sums say that they are the same bytes. The linter carries
the part that it checks: `python -m tests.control_plane.definitions` writes it again.
"""

import dataclasses
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml


@dataclasses.dataclass(frozen=True)
class Module:
    """A published module.

    Attributes:
        path: of the module.
        version: of the module.
        checksum: as Go computes it.
        bases: the folder of its definitions.
        hooks: the file of its webhooks.
    """

    path: str
    version: str
    checksum: str
    bases: str = "config/components/crd/bases"
    hooks: str = "config/components/webhook/manifests.yaml"


MODULES = {
    "jobset": Module(
        "sigs.k8s.io/jobset", "v0.10.1", "h1:u8QKifNsrWVrlRFe6w2ofYTqFT9ma2DRHxfeB2m9xyU="
    ),
    "kueue": Module(
        "sigs.k8s.io/kueue", "v0.15.0", "h1:9Khzc2ne6/eWuZx5o+R4KlVBzh3kZkTIMzpPC2e8Spg="
    ),
    # The version that was made for this JobSet and this Kubernetes.
    "trainer": Module(
        "github.com/kubeflow/trainer/v2",
        "v2.1.0",
        "h1:jRABD9ZYToamNH2atHze3L/VC/v6KCAqUEqsOQOjVTg=",
        "manifests/base/crds",
        "manifests/base/webhook/manifests.yaml",
    ),
}
VERSIONS = {
    "jobset.x-k8s.io": "v1alpha2",
    "kueue.x-k8s.io": "v1beta2",
    "trainer.kubeflow.org": "v1alpha1",
}
CARRIED = Path(__file__).parents[2] / "launch" / "lint" / "custom_resources.json"
_NOTICE = (
    "Schemas of the custom resources of JobSet, Kueue and Kubeflow Trainer, which are published "
    "under the Apache License 2.0, copyright The Kubernetes Authors and The Kubeflow Authors. "
    "Cut: one version of each; no status, descriptions, defaults or x-kubernetes extensions; the "
    "Jobs of a JobSet and of a TrainingRuntime are any objects, for they are checked by the "
    "schema of Job; any are also what a TrainJob changes of pods, and the metrics of an "
    "autoscaler. Added: an object that names its fields has no others; apiVersion, kind, metadata"
    " and spec are required."
)
# Where a kind holds what Kubernetes defines.
_BUILTIN = {
    "JobSet": ["spec.replicatedJobs.template.spec"],
    "TrainingRuntime": [
        "spec.template.spec.replicatedJobs.template.spec",
        "spec.mlPolicy.torch.elasticPolicy.metrics",
    ],
    "TrainJob": ["spec.podTemplateOverrides.spec"],
}
# What the linter knows; the controllers need all.
_OF_KUEUE = {"ClusterQueue", "LocalQueue", "ResourceFlavor", "Workload"}
_KINDS = {"JobSet", "TrainJob", "TrainingRuntime", *_OF_KUEUE}
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
    """The same for all kinds that the controllers look for."""
    paths = [path for one in MODULES.values() for path in (fetch(one) / one.bases).glob("*_*.yaml")]
    read = [yaml.safe_load(path.read_text()) for path in sorted(paths)]
    return {one["spec"]["names"]["kind"]: _with_one_version(one) for one in read}


def schema(definition: Document) -> Document:
    """What a document of this kind must satisfy; a field that is not defined is a fault."""
    [version] = definition["spec"]["versions"]
    return _closed(version["schema"]["openAPIV3Schema"])


def carried() -> Document:
    """What the linter carries: kind -> schema, cut as the notice says."""
    defined = load()
    kinds = sorted(_KINDS - {"Workload"})
    sources = [f"{one.path}/{one.bases} {one.version}" for one in MODULES.values()]
    schemas = {kind: _cut(defined[kind]) for kind in kinds}
    return {"notice": _NOTICE, "sources": sources, "schemas": schemas}


def _cut(definition: Document) -> Document:
    group, names = definition["spec"]["group"], definition["spec"]["names"]
    whole = schema(definition)
    fields = {key: whole["properties"][key] for key in ("metadata", "spec")}
    for path in _BUILTIN.get(names["kind"], ()):
        *parents, last = path.split(".")
        inner = fields
        for key in parents:
            inner = inner[key].get("items", inner[key])["properties"]
        inner[last] = {"type": inner[last]["type"]}
    fields |= {
        "apiVersion": {"const": f"{group}/{VERSIONS[group]}"},
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
        if not key.startswith("x-kubernetes-") and not _is_remark(key, value)
    }


def _is_remark(key: str, value: Any) -> bool:
    """Whether it is a description or a default, and not the schema of a field that is called so."""
    is_field = isinstance(value, dict) and "type" in value
    return key in ("description", "default") and not is_field


def fetch(module: Module) -> Path:
    """The folder of a module.

    Raises:
        UnavailableError: Go is not installed, or the module is out of reach.
    """
    if shutil.which("go") is None:
        raise UnavailableError("Go is not installed")
    name = f"{module.path}@{module.version}"
    command = ["go", "mod", "download", "-json", name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    answer = json.loads(done.stdout or "{}")
    if "Dir" not in answer:
        raise UnavailableError(f"{name}: {answer.get('Error') or done.stderr}")
    if answer["Sum"] != module.checksum:
        raise ValueError(f"{name} has the checksum {answer['Sum']}, not {module.checksum}")
    return Path(answer["Dir"])


def _with_one_version(definition: Document) -> Document:
    wanted = VERSIONS[definition["spec"]["group"]]
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
