"""A JobSpec as it runs on this machine: its workdir, its strategy, the copy of --code."""

import dataclasses
import importlib.metadata
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
    if spec.device.kind != "cpu":
        raise bad_flag(
            f"--accelerator={spec.accelerator} is for a cluster; here the trainer finds the "
            "devices: leave it out, or use --backend=kubernetes"
        )
    for variable in spec.secret_env:
        if variable.name not in os.environ:
            raise bad_flag(
                f"--secret_env={variable.name}: there is no Secret on this machine; "
                f"export {variable.name} before you submit"
            )
    _check_packages(spec)
    check(spec)
    args = spec.args
    if spec.workers > 1 and trainer_args.value(args, "strategy") is None:
        args = ("--strategy=multi_worker", *args)
    if not spec.workdir:
        args = (*args, f"--workdir=runs/{spec.name}")
    if spec.code:
        copy = str(root.resolve() / spec.name / "code")
        args = tuple(arg.replace(CODE_DIR, copy) for arg in args)
    return dataclasses.replace(spec, args=args)


def _check_packages(spec: JobSpec) -> None:
    """Refuses packages that this environment lacks: nothing is installed behind a user's back."""
    for name, version in (pin for file in spec.requirements for pin in file.pins):
        try:
            there = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            there = "not installed"
        if there != version:
            raise bad_flag(
                f"--requirements: {name}=={version} is asked for, here it is {there}; "
                "`pip install --require-hashes -r FILE` into this environment"
            )
