"""The preflight: command lines judged by the trainer's flags and checks, in a child process.

The launcher imports nothing of the trainer (docs/adr/0010-rooms-of-launch.md): it
starts `trainer.run.preflight`.
"""

import functools
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

_HERE = Path(__file__).resolve().parents[2]
_LONGEST_SECS = 60


class Judged(NamedTuple):
    """The result of the preflight for a command line; see `trainer.run.preflight`.

    Attributes:
        code: exit code with which the run would be refused; 0: it passes.
        refusal: the message; "" if it passes.
        virtual_replicas: of its config; 0: unknown.
    """

    code: int
    refusal: str
    virtual_replicas: int


def judge(
    lines: Sequence[tuple[Sequence[str], Mapping[str, str]]], code: str | None = None
) -> list[Judged]:
    """Return the result for each command line; empty if the trainer cannot be run here.

    Args:
        lines: arguments and environment.
        code: folder of the files that are sent with the job; None: only the image has them.
    """
    if not lines or not (_HERE / "trainer").is_dir():
        return []
    asked = [{"args": [*args], "env": dict(env), "files": code is not None} for args, env in lines]
    return _answers(json.dumps(asked), code or "")


@functools.cache
def _answers(asked: str, code: str) -> list[Judged]:
    path = [code, str(_HERE), os.environ.get("PYTHONPATH", "")]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "trainer.run.preflight"],
            input=asked,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, path))},
            capture_output=True,
            text=True,
            timeout=_LONGEST_SECS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return []
    return [Judged(**one) for one in json.loads(done.stdout)] if done.returncode == 0 else []
