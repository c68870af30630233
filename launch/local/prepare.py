"""A JobSpec as it runs on this machine: its workdir, its strategy, the copy of --code."""

import dataclasses
import os
from pathlib import Path

from launch.spec import trainer_args
from launch.spec.feasibility import check
from launch.spec.job import JobSpec
from launch.spec.labels import CODE_DIR
from launch.spec.user_input import bad_flag


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
        raise bad_flag(
            f"--accelerator={spec.accelerator} is for a cluster; here the trainer finds the "
            "devices: leave it out, or use --backend=kubernetes"
        )


def _check_secrets(spec: JobSpec) -> None:
    for variable in spec.secret_env:
        if variable.name not in os.environ:
            raise bad_flag(
                f"--secret_env={variable.name}: there is no Secret on this machine; "
                f"export {variable.name} before you submit"
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
