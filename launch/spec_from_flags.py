"""From parsed flags and the trainer's arguments to a JobSpec."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags

from common.cluster_description import INDEX_VARIABLE
from common.exit_codes import ExitCode, RunError
from launch import code_bundle, names, sweep, trainer_args
from launch import flags as groups
from launch.spec import JobSpec, Mount, SecretVariable

_OWN_VARIABLES = {"TF_CONFIG", INDEX_VARIABLE}


def spec_from(values: flags.FlagValues, args: Sequence[str], command: tuple[str, ...]) -> JobSpec:
    """The job that flags and trainer arguments describe; not yet checked.

    Args:
        values: parsed flags of `define_job`.
        args: everything after `--`.
        command: what starts the trainer.

    Raises:
        RunError: BAD_FLAG for a malformed value.
    """
    simple: dict[str, Any] = {name: values[name].value for name in groups.SAME_AS_FIELD}
    config = trainer_args.value(args, "config") or "run"
    name = values["name"].value or names.generate(Path(config).stem)
    bundle = None
    if values["code"].value:
        bundle, args = code_bundle.collect(values["code"].value, args)
    spec = JobSpec(
        **simple,
        name=name,
        args=tuple(args),
        command=command,
        accelerator=values["accelerator"].value,
        platform=values["platform"].value,
        privileged=values["privileged"].value,
        env=_pairs(values, "env"),
        node_selector=_pairs(values, "node_selector"),
        secret_env=_secrets(values),
        mounts=(*_mounts(values, "pvc"), *_mounts(values, "gcs")),
        code=bundle,
    )
    if not values["sweep"].value:
        return spec
    workdir = spec.workdir or f"runs/{name}"
    return dataclasses.replace(spec, trials=sweep.load(Path(values["sweep"].value), workdir))


def _split(flag: str, text: str, separator: str, form: str) -> tuple[str, str]:
    left, found, right = text.partition(separator)
    if not (left and found and right):
        raise RunError(ExitCode.BAD_FLAG, f"--{flag}={text!r} must have the form {form}")
    return left, right


def _pairs(values: flags.FlagValues, flag: str) -> tuple[tuple[str, str], ...]:
    pairs = [_split(flag, text, "=", "NAME=VALUE") for text in values[flag].value]
    if flag == "env":
        for name, _ in pairs:
            _check_variable(flag, name)
    return tuple(pairs)


def _check_variable(flag: str, name: str) -> None:
    if not (name.isascii() and name.isidentifier()) or name in _OWN_VARIABLES:
        raise RunError(
            ExitCode.BAD_FLAG,
            f"--{flag}={name}=...: not a variable name, or one that the launcher sets itself",
        )


def _secrets(values: flags.FlagValues) -> tuple[SecretVariable, ...]:
    found = []
    for text in values["secret_env"].value:
        name, reference = _split("secret_env", text, "=", "NAME=SECRET/KEY")
        _check_variable("secret_env", name)
        found.append(SecretVariable(name, *_split("secret_env", reference, "/", "NAME=SECRET/KEY")))
    return tuple(found)


def _mounts(values: flags.FlagValues, kind: str) -> list[Mount]:
    flag = f"mount_{kind}"
    pairs = [_split(flag, text, ":", "SOURCE:/PATH") for text in values[flag].value]
    for source, path in pairs:
        if not path.startswith("/"):
            raise RunError(
                ExitCode.BAD_FLAG, f"--{flag}={source}:{path}: the path must start with /"
            )
    pairs = [(source, path.rstrip("/") or "/") for source, path in pairs]
    return [Mount("pvc" if kind == "pvc" else "gcs", source, path) for source, path in pairs]
