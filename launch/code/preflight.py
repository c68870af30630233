"""The trainer's own checks of a config, before a job is sent: in a process of its own."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from common.exit_codes import ExitCode, RunError
from launch.spec.job import JobSpec
from launch.spec.labels import CODE_DIR

_HERE = Path(__file__).resolve().parents[2]
_TRAINER = ("-m", "trainer")
_LONGEST_SECS = 30
_REFUSALS = (ExitCode.BAD_FLAG, ExitCode.BAD_CONFIG)


def check(spec: JobSpec) -> None:
    """Refuse a job whose config the trainer would refuse; what cannot be judged here is let pass.

    Raises:
        RunError: BAD_FLAG or BAD_CONFIG, in the trainer's words.
    """
    is_run = spec.args[:1] == () or spec.args[0].startswith("-")
    if spec.command[-2:] != _TRAINER or not is_run or not (_HERE / "trainer").is_dir():
        return
    with tempfile.TemporaryDirectory(prefix="lockstep-") as folder:
        for path, content in spec.code.files if spec.code else ():
            (Path(folder) / path).parent.mkdir(parents=True, exist_ok=True)
            (Path(folder) / path).write_bytes(content)
        trials = [[*spec.args, *trial] for trial in spec.trials or [()]]
        lines = [[arg.replace(CODE_DIR, folder) for arg in args] for args in trials]
        paths = [folder, str(_HERE), os.environ.get("PYTHONPATH", "")]
        try:
            done = subprocess.run(
                [sys.executable, "-m", "trainer.run.preflight"],
                input=json.dumps(lines),
                env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
                capture_output=True,
                text=True,
                timeout=_LONGEST_SECS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return
    for code in _REFUSALS:
        if code != done.returncode:
            continue
        reason = done.stderr.splitlines()[-1].removeprefix(code.last_line("")).replace(folder, "")
        raise RunError(code, f"{reason} (nothing was sent; --nocheck sends it all the same)")
