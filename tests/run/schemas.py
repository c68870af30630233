"""What the schemas of docs/reference say of the files of a run."""

import json
import pathlib
from typing import Any

from jsonschema import Draft202012Validator

from tests.processes import ROOT


def strict(text: str) -> Any:
    """Read JSON as a program does that knows no NaN."""

    def refuse(word: str) -> None:
        raise ValueError(f"{word} is no JSON")

    return json.loads(text, parse_constant=refuse)


def validator(name: str) -> Draft202012Validator:
    schema = json.loads((ROOT / f"docs/reference/{name}.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def faults(workdir: pathlib.Path) -> list[str]:
    """Return what is not as the schemas say; also where a file holds what is no JSON."""
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    named = [("metrics", text) for text in lines]
    if (workdir / "summary.json").exists():
        named.append(("summary", (workdir / "summary.json").read_text()))
    for file in [workdir / "config.json", *workdir.glob("checkpoints/*/meta.json")]:
        strict(file.read_text())
    return [
        f"{name}: {error.json_path}: {error.message}"
        for name, text in named
        for error in validator(name).iter_errors(strict(text))
    ]
