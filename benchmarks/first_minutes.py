"""A new user's first minutes, command by command, with the seconds each took.

`python -m benchmarks.first_minutes [--source=URL_OR_FOLDER]` clones the repository into a new
folder and goes through what the guide shows; it ends with the first command that fails.
"""

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
PYTHON = ".venv/bin/python"
CONFIG = "--config=mine/experiment.py"


def main() -> int:
    """Print a line for each command, and the sum."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", default=str(ROOT), help="what is cloned")
    source = parser.parse_args().source
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "lockstep"
        seconds = list(_all(source, home))
    print(f"{sum(seconds):7.1f} s  in all, {len(seconds)} commands", flush=True)
    return 0


def _all(source: str, home: Path) -> Iterator[float]:
    yield _timed(["git", "clone", "--quiet", source, str(home)], home.parent)
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


def _timed(command: list[str], folder: Path) -> float:
    started = time.monotonic()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return _say(command, time.monotonic() - started, done.returncode, 0, done.stderr)


def _interrupted(command: list[str], folder: Path) -> float:
    """Press Ctrl-C in the middle: the state is saved, and the same command goes on."""
    started = time.monotonic()
    process = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)
    assert process.stderr
    seen = [
        line for line in iter(process.stderr.readline, "") if _stop_after_an_epoch(line, process)
    ]
    code = process.wait()
    return _say([*command, "(Ctrl-C)"], time.monotonic() - started, code, 143, "".join(seen))


def _stop_after_an_epoch(line: str, process: "subprocess.Popen[str]") -> bool:
    if "eval/loss" in line:
        process.send_signal(signal.SIGINT)
    return True


def _say(command: list[str], seconds: float, code: int, wanted: int, stderr: str) -> float:
    print(f"{seconds:7.1f} s  {Path(command[0]).name} {' '.join(command[1:])}", flush=True)
    if code != wanted:
        sys.exit(f"ended with {code}, not {wanted}:\n{stderr[-2000:]}")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
