"""What becomes of every class of Keras: found by training with it, recorded, and shown on a page.

`python -m tests.keras_parts.page [KIND or KIND.CLASS ...]` trains again (minutes for the layers, in
each mode), and writes both files.
"""

import json
import os
import re
import subprocess
import sys

import keras

from tests.keras_parts.classes import ABSTRACT, KINDS, classes
from tests.keras_parts.training import CLOSE
from tests.processes import ROOT

FOLDER = ROOT / "docs" / "reference"
RECORD, PAGE = FOLDER / "keras_parts.json", FOLDER / "keras_parts.md"
MODES = {
    "float32": ("float32", "graph"),
    "bfloat16": ("bfloat16", "graph"),
    "xla_step": ("float32", "xla_step"),
}
"""Column of the table -> precision and execution."""
CUT = "depends on `virtual_replicas`: each microbatch is computed by itself"
HEAD = """# Every class of Keras

What becomes of each public class of Keras {version} when a run uses it. The table is made by
`python -m tests.keras_parts.page`, which trains with every class; a test fails for a class that a
later Keras adds, until it is made again.

- **Equal**: three steps give the same bits on one replica and on two, and again from what was
  saved after the first. In float32 they also give, with one virtual replica, what plain Keras gives
  (to 1e-5, with the same random numbers), and metrics what Keras gives for all examples at once.
- **Refused**: the run ends with this line before its first step.

Not in the table: {abstract} (base classes), and second names of a class such as `MaxPool2D`.
"""


def battery(what, replicas, mode="float32"):
    """Return (kind, class) -> what became of it, for kinds and for single `kind.Class`."""
    command = [sys.executable, "-m", "tests.keras_parts.battery", str(replicas), *MODES[mode]]
    done = subprocess.run(
        [*command, *what],
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return {(row["kind"], row["name"]): row for row in rows}


def verdicts(what, mode):
    """Return kind -> class -> [verdict, reason]."""
    one, two = (battery(what, replicas, mode) for replicas in (1, 2))
    found = {}
    for (kind, name), row in one.items():
        found.setdefault(kind, {})[name] = verdict(row, two[kind, name])
    return found


def verdict(one, two):
    """Return what became of a class on one replica and on two: [verdict, reason]."""
    for key, whose in (("refused", ""), ("mistake", "by Keras: ")):
        if one.get(key) and one[key] == two.get(key):
            return ["Refused", whose + _without_files(one[key])]
    if "digest" not in one or "digest" not in two:
        return ["Failed", f"{one} on one replica, {two} on two"]
    if one["digest"] != two["digest"]:
        return ["Failed", "two replicas differ from one"]
    if not one.get("keras", 0.0) <= CLOSE:
        return ["Failed", f"differs from Keras by {one['keras']:.1e}"]
    return ["Equal", CUT if one.get("cut") else ""]


def _without_files(reason):
    """Return the line without the places of the battery in it."""
    return re.sub(r"^\S+\.py:\d+: |(, made by|; called from) \S+\.py:\d+", "", reason)


def recorded():
    """Return what the last training of all classes found."""
    return json.loads(RECORD.read_text()) if RECORD.exists() else {}


def text(found):
    """Return the page."""
    names = ", ".join(f"`{name}`" for name in ABSTRACT)
    lines = [HEAD.format(version=keras.__version__, abstract=names)]
    for kind in KINDS:
        lines += [f"## {kind}", "", f"| class | {' | '.join(MODES)} | reason |"]
        lines += [f"|---|{'---|' * len(MODES)}---|"]
        lines += [row(*of) for of in sorted(found.get(kind, {}).items())] + [""]
    return "\n".join(lines)


def row(name, by_mode):
    """Return the line of a class; a reason that holds in some modes only begins with them."""
    modes = {}
    for mode, (_, why) in by_mode.items():
        modes.setdefault(why, []).append(mode)
    modes.pop("", None)
    reasons = [
        why if len(of) == len(by_mode) or why == CUT else f"{', '.join(of)}: {why}"
        for why, of in modes.items()
    ]
    shown = [by_mode.get(mode, ["-"])[0] for mode in MODES]
    return f"| `{name}` | {' | '.join(shown)} | {'; '.join(reasons).replace('|', '/')} |"


def record(found, mode):
    """Write down what a training in a mode found, and make the page of it."""
    known = recorded()
    for kind, verdicts_of in found.items():
        rows = known.setdefault(kind, {})
        for name, verdict_of in verdicts_of.items():
            rows.setdefault(name, {})[mode] = verdict_of
        known[kind] = {name: rows[name] for name in classes(kind) if name in rows}
    RECORD.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
    PAGE.write_text(text(known))


def main(*what):
    for mode in MODES:
        record(verdicts(what or [*KINDS], mode), mode)


if __name__ == "__main__":
    main(*sys.argv[1:])
