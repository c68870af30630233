"""The verb `lint`."""

import dataclasses
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from launch.cli.views import show
from launch.lint import lint, missing
from launch.lint.dangling import Lookup
from launch.lint.examined import unexamined
from launch.lint.finding import Finding, Level
from launch.lint.objects import CLUSTER_WIDE
from launch.spec.documents import Document, members
from launch.spec.user_input import bad_flag, read_yaml


def lint_files(values: Namespace) -> int:
    """Prints every finding in the manifests of files; 1 if one of them is an error."""
    # Each file by itself: two that hold the same job are two versions of it, no name used twice.
    files = [members(read_yaml(Path(file), file)) for file in values.operands]
    if not any(files):
        raise bad_flag(f"{', '.join(values.operands)}: no Kubernetes object is in there")
    lookup = _lookup(values) if values.cluster else None
    found: list[Finding] = []
    notes: list[Finding] = []
    for index, parsed in enumerate(files):
        beside = [one for other in (*files[:index], *files[index + 1 :]) for one in other]
        found += lint(parsed, beside, lookup, strict=values.strict)
        found += _further(parsed, values)
        notes += [] if lookup else missing(parsed, beside)
        notes += unexamined(parsed)
    found = sorted(dict.fromkeys(found), key=lambda one: one.level.rank)
    notes = list(dict.fromkeys(notes))
    page = "\n".join([*map(str, found), *map(str, notes), _summary(found)])
    show([dataclasses.asdict(one) for one in (*found, *notes)], page, values)
    return 1 if any(values.strict or one.level is Level.ERROR for one in found) else 0


def _further(parsed: list[Document], values: Namespace) -> list[Finding]:
    """What other programs find: the schemas, and the trainer that reads its arguments."""
    from launch.lint.arguments import check_arguments
    from launch.lint.schemas import check_schemas

    found = list(check_arguments(parsed))
    return [*found, *check_schemas(parsed)] if values.schemas else found


def _summary(found: Sequence[Finding]) -> str:
    counts = {level: sum(one.level is level for one in found) for level in Level}
    told = [f"{count} {level}{'s' * (count != 1)}" for level, count in counts.items() if count]
    return ", ".join(told) or "no faults"


def _lookup(values: Namespace) -> Lookup:
    """Asks the cluster of --context for an object."""
    from launch.kubernetes.api_errors import NotFoundError
    from launch.kubernetes.cluster import connect, of_object

    cluster = connect(values.context)

    def find(kind: str, namespace: str, name: str) -> Document | None:
        place = None if kind in CLUSTER_WIDE else namespace or values.namespace
        try:
            return cluster.get(of_object(kind, place, name))
        except NotFoundError:
            return None

    return find
