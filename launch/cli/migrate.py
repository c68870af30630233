"""The verb `migrate`: a TFJob of Kubeflow as a command line of `submit`."""

import dataclasses
import shlex
from argparse import Namespace
from pathlib import Path

from launch.cli.views import show
from launch.spec.documents import members
from launch.spec.tfjob import Migration, migrate
from launch.spec.user_input import bad_flag, read_yaml


def migrate_files(values: Namespace) -> int:
    """Prints a command for every TFJob in the files, and what has no counterpart."""
    found = [
        migrate(document)
        for file in values.operands
        for document in members(read_yaml(Path(file), file))
        if document.get("kind") == "TFJob"
    ]
    if not found:
        raise bad_flag(f"{', '.join(values.operands)}: no TFJob is in there")
    pages = "\n\n".join(map(_page, found))
    show([dataclasses.asdict(one) for one in found], pages, values)
    return 0


def _page(one: Migration) -> str:
    head = ["python -m launch submit --backend=kubernetes", *map(shlex.quote, one.flags)]
    lines = [" \\\n    ".join([*head, "-- --config=EXPERIMENT --workdir=gs://BUCKET/RUN"])]
    if one.program:
        lines.append(f"# EXPERIMENT takes the place of: {shlex.join(one.program)}")
    return "\n".join([*lines, *(f"# {remark}" for remark in one.remarks)])
