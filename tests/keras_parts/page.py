"""What becomes of every class of Keras: found by training with it, recorded, and shown on a page.

`python -m tests.keras_parts.page [KIND or KIND.CLASS ...]` trains again (minutes for the layers),
and writes both files.
"""

import json
import os
import re
import subprocess
import sys

import keras

from tests.keras_parts.classes import ABSTRACT, KINDS, classes
from tests.processes import ROOT

FOLDER = ROOT / "docs" / "reference"
RECORD, PAGE = FOLDER / "keras_parts.json", FOLDER / "keras_parts.md"
CLOSE = 1e-5
CUT = "depends on `virtual_replicas`: each microbatch is computed by itself"
HEAD = """# Every class of Keras

What becomes of each public class of Keras {version} when a run uses it. The table is made by
`python -m tests.keras_parts.page`, which trains with every class; a test fails for a class that a
later Keras adds, until it is made again.

- **Equal**: three steps give the same bits on one replica and on two, and again from what was
  saved after the first; with one virtual replica they give what plain Keras gives (to 1e-5, with
  the same random numbers).
- **Refused**: the run ends with this line before its first step.

Not in the table: {abstract} (base classes), and second names of a class such as `MaxPool2D`.
"""


def battery(what, replicas, precision="float32", execution="graph"):
    """Return (kind, class) -> what became of it, for kinds and for single `kind.Class`."""
    command = [sys.executable, "-m", "tests.keras_parts.battery"]
    done = subprocess.run(
        [*command, str(replicas), precision, execution, *what],
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return {(row["kind"], row["name"]): row for row in rows}


def verdicts(what):
    """Return kind -> class -> [verdict, reason]."""
    one, two = (battery(what, replicas) for replicas in (1, 2))
    found = {}
    for (kind, name), row in one.items():
        found.setdefault(kind, {})[name] = verdict(row, two[kind, name])
    return found


def verdict(one, two):
    """Return what became of a class on one replica and on two: (verdict, reason)."""
    if "refused" in one and one["refused"] == two.get("refused"):
        return ["Refused", re.sub(r"^\S+\.py:\d+: ", "", one["refused"])]
    if "ImportError" in one.get("error", "") and one["error"] == two.get("error"):
        return ["Refused", f"by Keras where it is made: {one['error']}"]
    if "digest" not in one or "digest" not in two:
        return ["Failed", f"{one} on one replica, {two} on two"]
    if one["digest"] != two["digest"]:
        return ["Failed", "two replicas differ from one"]
    if not one.get("keras", 0.0) <= CLOSE:
        return ["Failed", f"differs from Keras by {one['keras']:.1e}"]
    is_cut = abs(one.get("loss_of_one", one["loss"]) - one["loss"]) > CLOSE
    return ["Equal", CUT if is_cut else ""]


def recorded():
    """Return what the last training of all classes found."""
    return json.loads(RECORD.read_text()) if RECORD.exists() else {}


def text(found):
    """Return the page."""
    names = ", ".join(f"`{name}`" for name in ABSTRACT)
    lines = [HEAD.format(version=keras.__version__, abstract=names)]
    for kind in KINDS:
        lines += [f"## {kind}", "", "| class | verdict | reason |", "|---|---|---|"]
        rows = sorted(found.get(kind, {}).items())
        lines += [f"| `{n}` | {v} | {why.replace('|', '/')} |" for n, (v, why) in rows]
        lines += [""]
    return "\n".join(lines)


def main(*what):
    found = recorded()
    for kind, rows in verdicts(what or [*KINDS]).items():
        known = {**found.get(kind, {}), **rows}
        found[kind] = {name: known[name] for name in classes(kind) if name in known}
    RECORD.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    PAGE.write_text(text(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
