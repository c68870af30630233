"""The command: one process for each setting, within a budget of time. It changes nothing."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence

from common.exit_codes import ExitCode, RunError
from trainer.commands import Parser
from trainer.config import conversion, experiment_file, parts
from trainer.config.flags import take_fields
from trainer.tune.settings import Measured, Setting, candidates, report

_SECS_EACH = 4.0


def main(args: Sequence[str]) -> None:
    """Run the command."""
    parser = Parser(
        "tune",
        "Measure execution modes, precision and threads on this machine, on the CPU, and print "
        "the lines for the config. Takes --config.FIELD=VALUE as training does.",
    )
    parser.add_argument("--config", default="digits", help="a name in trainer/configs/, or a file")
    parser.add_argument(
        "--budget_secs", type=float, default=180.0, help="no setting is begun after so long"
    )
    overrides, others = take_fields(args)
    flags = parser.parse_args(others)
    if not flags.budget_secs > 0:
        raise RunError(
            ExitCode.BAD_FLAG, f"--budget_secs={flags.budget_secs} must be above 0, in seconds"
        )
    config = conversion.override(experiment_file.load(flags.config), overrides)
    parts.check_names(config)
    found, ends = list[Measured](), time.monotonic() + flags.budget_secs
    for setting in candidates(config, len(os.sched_getaffinity(0))):
        left = ends - time.monotonic()
        late = found and left <= 0
        found.append(
            Measured(setting, reason=f"--budget_secs={flags.budget_secs:g} were over")
            if late
            else _measure(flags.config, overrides, setting)
        )
    if not any(m.steps_per_second for m in found):
        raise RunError(ExitCode.BAD_CONFIG, f"nothing could be measured: {found[0].reason}")
    print(report(found, config))


def _measure(name: str, overrides: Sequence[tuple[str, str]], setting: Setting) -> Measured:
    settings = [f"{field}={value}" for field, value in [*overrides, *setting.fields()]]
    done = subprocess.run(  # noqa: S603 - this interpreter, our own module
        [sys.executable, "-m", "trainer.tune.measure", str(_SECS_EACH), name, *settings],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        return Measured(setting, reason=lines[-1] if lines else f"ended with {done.returncode}")
    return Measured(setting, **json.loads(done.stdout.splitlines()[-1]))
