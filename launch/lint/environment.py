"""Environment variables: no secrets, no loose references, and a TF_CONFIG that fits the Job."""

import json
import re
from collections.abc import Iterator

from common.cluster_description import INDEX_VARIABLE
from common.redaction import holds_secret, is_secret_name
from launch.documents import Document
from launch.lint.finding import Finding
from launch.lint.workload import Workload, mapping, sequence

_REFERENCE = re.compile(r"(?<!\$)(?:\$\$)*\$\(([^()\s]+)\)")
_INDEX_PATH = "metadata.annotations['batch.kubernetes.io/job-completion-index']"


def check_environment(workload: Workload) -> Iterator[Finding]:
    """All rules on the variables of every container."""
    for path, container in workload.containers():
        variables = [mapping(variable) for variable in sequence(container.get("env"))]
        yield from _check_variables(workload, path, variables)
        names = {str(variable.get("name")) for variable in variables}
        for field in ("command", "args"):
            for word in map(str, sequence(container.get(field))):
                yield from _check_references(workload, f"{path}.{field}", word, names)
    trainers = [c for p, c in workload.containers() if p.startswith("containers")]
    if trainers and workload.pods > 1 and not workload.is_sweep and workload.group != "host":
        yield from _check_cluster(workload, trainers[0])


def _check_variables(workload: Workload, path: str, variables: list[Document]) -> Iterator[Finding]:
    seen: set[str] = set()
    for index, variable in enumerate(variables):
        name, value = str(variable.get("name", "")), variable.get("value")
        where = f"{path}.env[{index}]"
        if name in seen:
            yield workload.of_pod(where, f"{name} is set twice", "remove one")
        if value and (is_secret_name(name) or holds_secret(str(value))):
            yield workload.of_pod(where, f"{name} holds a secret in plain text", "use secretKeyRef")
        if name == INDEX_VARIABLE:
            source = mapping(mapping(variable.get("valueFrom")).get("fieldRef")).get("fieldPath")
            if source != _INDEX_PATH:
                yield workload.of_pod(
                    where, f"{name} comes from {source!r}", f"take it from {_INDEX_PATH}"
                )
        yield from _check_references(workload, where, str(value or ""), seen)
        seen.add(name)


def _check_references(
    workload: Workload, where: str, text: str, known: set[str]
) -> Iterator[Finding]:
    for name in _REFERENCE.findall(text):
        if name not in known:
            yield workload.of_pod(
                where,
                f"$({name}) is not set above, so it stays as it is written",
                f"define {name} first, or write $$({name})",
            )


def _check_cluster(workload: Workload, container: Document) -> Iterator[Finding]:
    values = {
        str(mapping(variable).get("name")): mapping(variable).get("value")
        for variable in sequence(container.get("env"))
    }
    where = "containers[0].env[TF_CONFIG]"
    text = str(values.get("TF_CONFIG") or "")
    try:
        described = json.loads(text.replace(f"$({INDEX_VARIABLE})", "0"))
        addresses = list(described["cluster"]["worker"])
        task = described["task"]
    except (ValueError, KeyError, TypeError):
        yield workload.of_pod(
            where, "does not describe the workers", 'write {"cluster":{"worker":[...]},"task":...}'
        )
        return
    if f"$({INDEX_VARIABLE})" not in text or task.get("type") != "worker":
        yield workload.of_pod(
            where, f"the task {task} is the same in every pod", f"use $({INDEX_VARIABLE})"
        )
    ports = [mapping(port).get("containerPort") for port in sequence(container.get("ports"))]
    expected = [
        f"{workload.name}-{index}.{workload.subdomain}:{port}"
        for index in range(workload.pods)
        for port in ports[:1]
    ]
    if addresses != expected:
        yield workload.of_pod(
            where,
            f"{len(addresses)} addresses do not name the {workload.pods} pods of this Job",
            f"they are {', '.join(expected[:2])}, ... (name, subdomain, containerPort)",
        )
