"""A new user's first minutes, command by command, with the seconds each took.

`python -m benchmarks.first_minutes [--source=URL_OR_FOLDER] [--page=FILE]` clones the repository
into a new folder and goes through what the guide shows; it ends with the first command that fails.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from trainer.version import environment

ROOT = Path(__file__).parent.parent
PYTHON = ".venv/bin/python"
CONFIG = "--config=mine/experiment.py"


Row = tuple[str, float]


def main() -> int:
    """Print a line for each command, and the sum; write them into the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", default=str(ROOT), help="what is cloned")
    parser.add_argument("--page", type=Path, help="where the results are written as Markdown")
    flags = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        rows = list(_all(flags.source, Path(folder) / "lockstep"))
    rows.append((f"in all, {len(rows)} commands", sum(secs for _, secs in rows)))
    print(f"{rows[-1][1]:7.1f} s  {rows[-1][0]}", flush=True)
    if flags.page:
        flags.page.write_text(_page(rows, load))
    return 0


def _page(rows: list[Row], load: float) -> str:
    machine = ", ".join(f"{name} {value}" for name, value in environment().items())
    table = "\n".join(f"| `{name}` | {secs:.1f} |" for name, secs in rows[:-1])
    name, secs = rows[-1]
    return (
        "# A new user's first minutes\n\n"
        f"`python -m benchmarks.first_minutes`, {time.strftime('%Y-%m-%d')}; load before it began "
        f"{load:.1f}.\n{machine}.\n\n| command | seconds |\n|---|---:|\n{table}\n"
        f"| **{name}** | **{secs:.1f}** |\n\nNone failed: the first that fails ends it.\n"
    )


def _all(source: str, home: Path) -> Iterator[Row]:
    yield _timed(["git", "clone", "--quiet", source, str(home)], home.parent, shown="git clone")
    yield _timed(["make", "train"], home)
    yield _timed([PYTHON, "-m", "trainer", "new", "mine"], home)
    _change(home / "mine" / "experiment.py")
    train = [PYTHON, "-m", "trainer", CONFIG, "--workdir=runs/mine"]
    yield _timed([PYTHON, "-m", "trainer", CONFIG, "--fast_dev_run"], home)
    yield _interrupted(train, home)
    yield _timed(train, home)
    assert (home / "runs/mine/report.html").stat().st_size > 10_000
    yield _timed([PYTHON, "-m", "trainer", "compare", "runs/digits", "runs/mine"], home)
    yield _timed([PYTHON, "-m", "trainer", "export", "runs/mine", "--to=exported", CONFIG], home)
    short = [CONFIG, "--config.epochs=2", "--workdir=runs/workers"]
    workers = ["--workers=2", "--code=mine"]
    yield _timed([PYTHON, "-m", "launch", "local", *workers, "--", *short], home)


def _change(file: Path) -> None:
    """Make the user's own change: a wider model."""
    text = file.read_text()
    assert '"filters": 32' in text
    file.write_text(text.replace('"filters": 32', '"filters": 48'))


def _timed(command: list[str], folder: Path, shown: str = "") -> Row:
    started = time.monotonic()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    shown = shown or _typed(command)
    return _say(shown, time.monotonic() - started, done.returncode, 0, done.stderr)


def _typed(command: list[str]) -> str:
    return " ".join([Path(command[0]).name, *command[1:]])


def _interrupted(command: list[str], folder: Path) -> Row:
    """Press Ctrl-C in the middle: the state is saved, and the same command goes on."""
    started = time.monotonic()
    process = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)
    assert process.stderr
    seen = [
        line for line in iter(process.stderr.readline, "") if _stop_after_an_epoch(line, process)
    ]
    code = process.wait()
    shown = f"{_typed(command)} (Ctrl-C)"
    return _say(shown, time.monotonic() - started, code, 143, "".join(seen))


def _stop_after_an_epoch(line: str, process: "subprocess.Popen[str]") -> bool:
    if "eval/loss" in line:
        process.send_signal(signal.SIGINT)
    return True


def _say(shown: str, seconds: float, code: int, wanted: int, stderr: str) -> Row:
    print(f"{seconds:7.1f} s  {shown}", flush=True)
    if code != wanted:
        sys.exit(f"ended with {code}, not {wanted}:\n{stderr[-2000:]}")
    return shown, seconds


if __name__ == "__main__":
    sys.exit(main())
