"""Variables: defined before they are used, defined once, no secret in plain text."""

import re
from collections.abc import Iterator

from common.cluster_description import INDEX_VARIABLE
from common.redaction import holds_secret, is_secret_name
from launch.lint import commands
from launch.lint.finding import Finding, error, warning
from launch.lint.pods import Pods
from launch.lint.tokens import find_token
from launch.spec.documents import Document, mapping, mappings
from launch.spec.labels import INDEX_PATH

_REFERENCE = re.compile(r"(?<!\$)(?:\$\$)*\$\(([^()\s]+)\)")
_NAME = re.compile(r"[A-Za-z_][\w.-]*")
_CONSTANT = re.compile(r"[A-Z][A-Z0-9]*_[A-Z0-9_]+|[A-Z]{3,}")
_OF_SERVICES = re.compile(r"\w+_(SERVICE_(HOST|PORT)(_\w+)?|PORT(_\w+)?)|HOSTNAME|TPU_\w+")
_FIELDS = re.compile(
    r"metadata\.(name|namespace|uid|(labels|annotations)\['[^']+'\])|spec\.(nodeName|"
    r"serviceAccountName)|status\.(hostIPs?|podIPs?)"
)

# Kubernetes sets it as a label too.
_INDEX_SOURCES = (INDEX_PATH, INDEX_PATH.replace("annotations", "labels"))


def known_names(pods: Pods, container: Document) -> set[str] | None:
    """The variables that the kubelet knows; None where a source outside the files adds some."""
    if mappings(container, "envFrom") or not pods.is_plain:
        return None
    # The Job controller adds the index.
    return commands.variables(container) | ({INDEX_VARIABLE} if pods.is_indexed else set())


def check_variables(pods: Pods) -> Iterator[Finding]:
    """All rules on the variables of every container."""
    for path, container in pods.containers():
        yield from _check_env(pods, path, container)
        known = known_names(pods, container)
        found = commands.items(path, container)
        place = commands.script_at([text for _, text in found])
        for index, (where, text) in enumerate(found):
            if secret := find_token(text):
                yield _plain(pods.at(where), f"{text.partition('=')[0][:40]!r}", secret)
            if known is not None:
                # In a script `$(name)` that the kubelet does not know is a command of the shell.
                yield from _check_references(pods, where, text, known, in_script=index == place)


def _check_env(pods: Pods, path: str, container: Document) -> Iterator[Finding]:
    seen: set[str] = set()
    from_elsewhere = known_names(pods, container) is None
    for index, variable in enumerate(mappings(container, "env")):
        name, value = str(variable.get("name", "")), variable.get("value")
        where = f"{path}.env[{index}]"
        if name in seen:
            yield error(
                pods.at(where), f"{name} is set twice: the last one wins", "remove one of them"
            )
        yield from _check_value(pods, where, name, "" if value is None else str(value))
        yield from _check_source(pods, where, name, variable)
        if not from_elsewhere:
            yield from _check_references(pods, where, str(value or ""), seen)
        seen.add(name)


def _check_value(pods: Pods, where: str, name: str, value: str) -> Iterator[Finding]:
    if not value:
        return
    kind = find_token(value)
    if kind or (is_secret_name(name) and not value.isdecimal() and value[0] not in "/$"):
        yield _plain(pods.at(where), name, kind)
    elif holds_secret(value):
        yield _plain(pods.at(where), name, "an address with a password")
    if found := re.fullmatch(r"\$(\w+|\{\w+\})", value):
        yield warning(
            pods.at(where),
            f"{name} is the text {value!r}: the kubelet replaces only $(NAME)",
            f"write $({found[1].strip('{}')})",
        )


def _plain(where: str, name: str, kind: str) -> Finding:
    what = f" ({kind})" if kind else ""
    return error(
        where,
        f"{name} holds a secret in plain text{what}: whoever may read the job may use it",
        "put it into a Secret and use secretKeyRef",
    )


def _check_source(pods: Pods, where: str, name: str, variable: Document) -> Iterator[Finding]:
    source = mapping(variable, "valueFrom", "fieldRef").get("fieldPath")
    if variable.get("value") and variable.get("valueFrom"):
        yield error(pods.at(where), f"{name} has a value and valueFrom", "keep one of the two")
    if source is not None and not _FIELDS.fullmatch(str(source)):
        yield error(
            pods.at(where),
            f"{name} comes from {source!r}, which no variable can take",
            "for example metadata.name, status.podIP, or metadata.annotations['KEY']",
        )
    elif name == INDEX_VARIABLE and source not in _INDEX_SOURCES:
        yield error(
            pods.at(where),
            f"{name} comes from {source!r}: a pod would not know its place",
            f"take it from {INDEX_PATH}",
        )


def _check_references(
    pods: Pods, where: str, text: str, known: set[str], in_script: bool = False
) -> Iterator[Finding]:
    for name in _REFERENCE.findall(text):
        if name in known or _OF_SERVICES.fullmatch(name) or not _NAME.fullmatch(name):
            continue
        if in_script and not _CONSTANT.fullmatch(name):
            continue
        read = "a shell runs it as a command" if in_script else "it stays as it is written"
        yield error(
            pods.at(where),
            f"$({name}) is not set above, so {read}",
            f"define {name} first, or write $$({name})",
        )
