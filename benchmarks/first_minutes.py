"""A new user's first ten minutes, command by command, with the seconds each took.

`python -m benchmarks.first_minutes [--source=URL_OR_FOLDER] [--page=FILE]` clones the repository
into a new folder, trains the default experiment, and then does what docs/guide/ten_minutes.md
shows, to the letter; it ends with the first command that fails.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.docs import pages
from trainer.version import environment

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "guide" / "ten_minutes.md"

Row = tuple[str, float]


def main() -> int:
    """Print a line for each command, and the sum; write them into the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", default=str(ROOT), help="what is cloned")
    parser.add_argument("--page", type=Path, help="where the results are written as Markdown")
    flags = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "lockstep"
        path = f"{home / '.venv' / 'bin'}:{os.environ['PATH']}"
        typed = {**os.environ, "PATH": path, "XDG_STATE_HOME": folder}  # of local jobs
        rows = [run(f"git clone --quiet {flags.source} {home}", Path(folder), typed)]
        rows.append(run("make train", home, typed))
        rows += follow(PAGE, home, typed)
    rows[0] = ("git clone", rows[0][1])
    rows.append((f"in all, {len(rows)} commands", sum(secs for _, secs in rows)))
    print(f"{rows[-1][1]:7.1f} s  {rows[-1][0]}", flush=True)
    if flags.page:
        flags.page.write_text(_results(rows, load))
    return 0


def follow(page: Path, home: Path, environment: dict[str, str]) -> Iterator[Row]:
    """Do what a page shows: write a file under the name in its first line, type each command.

    Raises:
        SystemExit: a command failed.
    """
    for kind, body in pages.fenced(page):
        if kind == "python":
            name, _, text = body.removeprefix("# ").partition("\n")
            (home / name).write_text(text)
            continue
        for command in body.splitlines():
            yield run(command, home, environment)


def run(command: str, folder: Path, environment: dict[str, str]) -> Row:
    """Type a command; return it with the seconds it took, or end."""
    started = time.monotonic()
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    seconds = time.monotonic() - started
    print(f"{seconds:7.1f} s  {command}", flush=True)
    if done.returncode:
        sys.exit(f"ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return command, seconds


def _results(rows: list[Row], load: float) -> str:
    machine = ", ".join(f"{name} {value}" for name, value in environment().items())
    table = "\n".join(f"| `{name}` | {secs:.1f} |" for name, secs in rows[:-1])
    name, secs = rows[-1]
    return (
        "# A new user's first ten minutes\n\n"
        f"`python -m benchmarks.first_minutes`, {time.strftime('%Y-%m-%d')}; load before it began "
        f"{load:.1f}.\n{machine}.\n\n| command | seconds |\n|---|---:|\n{table}\n"
        f"| **{name}** | **{secs:.1f}** |\n\nNone failed: the first that fails ends it.\n"
    )


if __name__ == "__main__":
    sys.exit(main())
