"""Trains the examples to their ends, checks what they reach, and writes docs/gallery.md.

    python -m benchmarks.gallery [NAME ...]

An example says in its docstring how it is run, and what it must reach: `Command:` and
`Result: accuracy >= 0.9`, behind which the value that was reached is written. Figures go into
docs/gallery/results.json, pictures beside it; the page is made of both. It ends with 1 where an
example does not reach its result.
"""

import argparse
import ast
import dataclasses
import datetime
import json
import operator
import os
import pathlib
import re
import resource
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from typing import Any

from trainer import version

ROOT = pathlib.Path(__file__).parents[1]
EXAMPLES, PICTURES = ROOT / "examples", ROOT / "docs" / "gallery"
PAGE, RESULTS = ROOT / "docs" / "gallery.md", PICTURES / "results.json"
ORDER = (
    "vae",
    "diffusion",
    "gan_spectral",
    "simclr",
    "segmentation",
    "text_classification",
    "character_model",
    "tabular",
    "fine_tuning_base",
    "fine_tuning",
    "offline_q",
)
"""A child stands behind its parent."""
_RESULT = re.compile(r"^(Result: (\w+) (<=|>=) ([\d.]+\d))(.*)$", re.MULTILINE)
_SIGNS = {"<=": operator.le, ">=": operator.ge}
_HEAD = """\
# Gallery

Ten experiments, each a file of `examples/`, with data that ship or that a seed makes.
`make gallery` trains them to their ends, fails where one does not reach its result, and writes
this page. A test trains each on one and on two replicas, kills it, resumes it, and compares the
digests (`python -m pytest tests/examples`).

To begin from one: `python -m trainer new mine --like=vae`.
"""


@dataclasses.dataclass(frozen=True)
class Example:
    """What the docstring of an example says.

    Attributes:
        name: of its file.
        title: its first line.
        text: what it shows.
        commands: that run it, in their order.
        metric: of the evaluation, or a scalar of the hook.
        sign: `<=` or `>=`.
        value: that the metric must reach.
        reached: what stands behind it, as `reached` writes it.
    """

    name: str
    title: str
    text: str
    commands: tuple[str, ...]
    metric: str
    sign: str
    value: float
    reached: str

    @classmethod
    def read(cls, name: str) -> "Example":
        """Read the docstring of examples/NAME.py."""
        told = ast.get_docstring(ast.parse((EXAMPLES / f"{name}.py").read_text())) or ""
        title, text, *_ = told.split("\n\n")
        commands = tuple(re.findall(r"^(?:Data|Command): (.+)$", told, re.MULTILINE))
        _, metric, sign, value, reached = _RESULT.findall(told)[0]
        return cls(name, title, text, commands, metric, sign, float(value), reached)

    def is_reached(self, found: float) -> bool:
        """Whether a value of the metric is good enough."""
        return bool(_SIGNS[self.sign](found, self.value))


def train(example: Example, folder: pathlib.Path) -> dict[str, Any]:
    """Run the commands of an example in `folder`; return its figures, and keep its picture."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for command in example.commands:
        _, *words = shlex.split(command)  # `python`
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        subprocess.run([sys.executable, *words], cwd=folder, env=environment, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    workdir = folder / re.findall(r"--workdir=(\S+)", example.commands[-1])[0]
    summary = json.loads((workdir / "summary.json").read_text())
    seen = {**summary["eval"], **_scalars(workdir)}
    return {
        "value": seen[example.metric],
        "state": summary["state_digest"][:16],
        "steps": summary["step"],
        "cpu_seconds": round(sum(after[:2]) - sum(before[:2])),
        "processor": version.processor(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "text": _look(workdir, example.name),
    }


def reached(found: Mapping[str, Any]) -> str:
    """Return what is written behind the result that an example must reach."""
    return f"; {found['value']:.4g} after {found['steps']:,} steps"


def _tell(example: Example, found: Mapping[str, Any]) -> None:
    """Write into the docstring of an example what it has reached."""
    file = EXAMPLES / f"{example.name}.py"
    file.write_text(_RESULT.sub(lambda m: m[1] + reached(found), file.read_text(), count=1))


def _scalars(workdir: pathlib.Path) -> dict[str, float]:
    """Return what the hook has recorded last: name -> value."""
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    return {k.removeprefix("eval/"): v for row in rows for k, v in row.items() if "eval/" in k}


def _look(workdir: pathlib.Path, name: str) -> str:
    """Keep the picture of the last evaluation; return its text."""
    for picture in sorted(workdir.glob("evaluations/*/*.png"))[-1:]:
        shutil.copyfile(picture, PICTURES / f"{name}.png")
    return "".join(p.read_text() for p in sorted(workdir.glob("evaluations/*/*.txt"))[-1:])


def page(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the page."""
    rows = [
        "| example | steps | held out | needed | state | CPU seconds | measured |",
        "|---|---:|---|---|---|---:|---|",
    ]
    sections = []
    for name in ORDER:
        example, found = Example.read(name), results.get(name)
        sections += [f"## {name}\n", f"**{example.title}** {example.text}\n"]
        sections.append("```sh\n" + "\n".join(example.commands) + "\n```\n")
        needed = f"{example.metric} {example.sign} {example.value:g}"
        if not found:
            rows.append(f"| [{name}](#{name}) | | not measured | {needed} | | | |")
            continue
        rows.append(
            f"| [{name}](#{name}) | {found['steps']:,} | {example.metric} {found['value']:.4g} | "
            f"{needed} | `{found['state']}` | {found['cpu_seconds']} | {found['date']} |"
        )
        if (PICTURES / f"{name}.png").exists():
            sections.append(f"![{example.title}](gallery/{name}.png)\n")
        if found["text"]:
            sections.append(f"```text\n{found['text']}\n```\n")
    processors = sorted({found["processor"] for found in results.values()})
    where = f"Measured on {', '.join(processors)}; CPU seconds are with start and compilation."
    return "\n".join([_HEAD, *rows, "", f"{where}\n", *sections]).rstrip() + "\n"


def main() -> int:
    """Train the examples that are named, or all; write the page; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help=f"of {', '.join(ORDER)}; none: all")
    names = parser.parse_args().names or ORDER
    PICTURES.mkdir(exist_ok=True)
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    missed = []
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "examples").symlink_to(EXAMPLES)
        for name in ORDER:
            if name not in names:
                continue
            example = Example.read(name)
            results[name] = found = train(example, pathlib.Path(folder))
            RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
            _tell(example, found)
            PAGE.write_text(page(results))
            good = example.is_reached(found["value"])
            verdict = "reached" if good else f"MISSED, needs {example.sign} {example.value:g}"
            print(f"{name}: {example.metric} {found['value']:.4f}: {verdict}", flush=True)
            missed += [] if good else [name]
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
