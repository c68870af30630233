"""A JobSpec as it runs on this machine: its workdir, its strategy, the copy of the user's files."""

import dataclasses
import os
from pathlib import Path

from common.exit_codes import ExitCode, RunError
from launch import trainer_args
from launch.feasibility import check
from launch.spec import CODE_DIR, JobSpec


def prepare(spec: JobSpec, root: Path) -> JobSpec:
    """The spec as it runs here.

    Args:
        spec: the job.
        root: the state folder.

    Raises:
        RunError: it cannot run here; BAD_FLAG.
    """
    _check_device(spec)
    _check_secrets(spec)
    placed = _with_placement(_with_workdir(check(spec)))
    copy = str(root.resolve() / spec.name / "code")
    here = tuple(arg.replace(CODE_DIR, copy) if spec.code else arg for arg in placed.args)
    return dataclasses.replace(placed, args=here)


def _check_device(spec: JobSpec) -> None:
    if spec.device.kind != "cpu":
        raise RunError(
            ExitCode.BAD_FLAG,
            f"--accelerator={spec.accelerator} is asked of a cluster; this machine's own "
            "devices are found by the trainer: leave it out, or use --backend=kubernetes",
        )


def _check_secrets(spec: JobSpec) -> None:
    for variable in spec.secret_env:
        if variable.name not in os.environ:
            raise RunError(
                ExitCode.BAD_FLAG,
                f"--secret_env={variable.name}: there is no Secret on this machine; "
                f"export {variable.name} before you submit",
            )


def _with_workdir(spec: JobSpec) -> JobSpec:
    """The spec with `runs/NAME` as workdir where it names none."""
    if spec.workdir:
        return spec
    return dataclasses.replace(spec, args=(*spec.args, f"--workdir=runs/{spec.name}"))


def _with_placement(spec: JobSpec) -> JobSpec:
    """The spec with the trainer's strategy named where several workers need it."""
    if spec.workers == 1 or trainer_args.value(spec.args, "strategy") is not None:
        return spec
    return dataclasses.replace(spec, args=("--strategy=multi_worker", *spec.args))
