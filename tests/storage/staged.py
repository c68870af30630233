"""Shards in a bucket and processes that read them, for the tests of staging."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

SIZE = 10_000
ROOT = Path(__file__).parents[2]
READER = """
import json, sys, time
from pathlib import Path
from trainer.data.records.staging import Stager
urls, stage_dir, budget, num_sharers = json.loads(sys.argv[1])
with Stager(urls, Path(stage_dir), budget, num_sharers=num_sharers) as stager:
    for position in range(len(urls)):
        with stager.open(position) as path:
            print(path.read_bytes()[:4].hex(), flush=True)
            time.sleep(0.01)
"""


def reader(*plan: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "error", "-c", READER, json.dumps(plan)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def expected(i: int) -> bytes:
    return random.Random(i).randbytes(SIZE)


def downloads(emulator) -> list[str]:
    return [path for method, path, _ in emulator.proxy.requests if "alt=media" in path]


def used_bytes(stage: Path) -> int:
    total = 0
    for path in stage.iterdir():
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue
    return total


def overwrite(path, data):
    """Change a copy in its place, as a program that writes to it would."""
    before = path.stat()
    with path.open("r+b") as file:
        file.write(data)
        file.truncate()
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 10**7))  # whatever the disk's clock
    assert path.stat().st_ino == before.st_ino
