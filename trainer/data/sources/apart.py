"""Calls a data function in a process of its own.

Workers can only be connected before the first operation of TensorFlow, and a function that makes a
`tf.data.Dataset` runs some.
"""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from typing import Any

from common.exit_codes import ExitCode, RunError
from trainer import registry, user_code
from trainer.config import DatasetConfig
from trainer.data.records.files import Stage

_PROGRAM = f"import sys; from {__name__} import main; sys.exit(main(*sys.argv[1:]))"


def describe(config: DatasetConfig, stage: Stage) -> None:
    """Describe a dataset there: what has to be kept is kept afterwards, or a note that nothing is.

    Raises:
        RunError: as `custom.describe` does; BAD_DATA where the process was killed.
    """
    plain = json.dumps([dataclasses.asdict(config), dataclasses.asdict(stage)])
    with tempfile.TemporaryDirectory(prefix="lockstep-") as folder:
        told = pathlib.Path(folder) / "reason"
        code = subprocess.run(  # noqa: S603 (this very program)
            [sys.executable, "-c", _PROGRAM, plain, str(told)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(p or "." for p in sys.path)},
            check=False,
        ).returncode
        if code == 0:
            return
        if told.exists():
            raise RunError(next(c for c in ExitCode if c == code), told.read_text())
    raise RunError(
        ExitCode.BAD_DATA,
        f"config.dataset.name={config.name!r}: the process that reads it ended with {code}; "
        f"{'give it more memory' if code == -9 else 'see the lines above'}",
    )


def main(plain: str, told: str) -> ExitCode:
    """Describe, and leave the reason of a refusal in the file `told`."""
    from trainer.data.sources import custom, keeping, roles

    fields, stage = json.loads(plain)
    config = roles.TaskDataset(**fields)
    try:
        function = registry.resolve({}, config.name, "config.dataset.name")
        custom.make(function, config, keeping.Keeper(config, Stage(**stage)))
    except RunError as error:
        return _tell(told, error.code, error.reason)
    except Exception as error:
        if not (found := user_code.mistake(error)):
            raise
        return _tell(told, ExitCode.BAD_CONFIG, found)
    return ExitCode.DONE


def _tell(told: str, code: ExitCode, reason: Any) -> ExitCode:
    pathlib.Path(told).write_text(reason)
    return code
