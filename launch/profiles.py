"""Profiles: named sets of flag values in a small TOML file; flags on the command line win."""

import tomllib
from pathlib import Path
from typing import Any

from absl import flags

from common import spelling
from common.exit_codes import ExitCode, RunError
from launch import flags as groups
from launch import text_files


def apply(values: flags.FlagValues) -> None:
    """Fills every flag that was not given on the command line from `--profile`.

    One profile serves all verbs that start jobs: what only another of them knows is left out.

    Raises:
        RunError: BAD_FLAG for a missing file or section, an unknown key or a wrong value.
    """
    name = values["profile"].value
    if not name:
        return
    path = Path(values["profiles"].value)
    profiles = _read(path)
    if name not in profiles:
        raise RunError(
            ExitCode.BAD_FLAG, f"{spelling.unknown('profile', name, profiles)} ({path}, --profile)"
        )
    allowed = groups.of_any_job() - {"profile", "profiles", "name"}
    for key, value in profiles[name].items():
        if key not in allowed:
            raise RunError(
                ExitCode.BAD_FLAG, f"{path} [{name}]: {spelling.unknown('key', key, allowed)}"
            )
        if key in values and not values[key].present:
            _set(values, key, value, f"{path} [{name}] {key}")


def _read(path: Path) -> dict[str, dict[str, Any]]:
    text = text_files.read(path, f"--profiles={path}")
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RunError(ExitCode.BAD_FLAG, f"--profiles={path} is not TOML: {error}") from None
    for key, value in content.items():
        if not isinstance(value, dict):
            raise RunError(
                ExitCode.BAD_FLAG, f"{path}: {key!r} stands outside a section; write [NAME] above"
            )
    return content


def _set(values: flags.FlagValues, key: str, value: object, where: str) -> None:
    flag = values[key]
    if isinstance(flag, flags.MultiFlag):
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise RunError(ExitCode.BAD_FLAG, f"{where} = {value!r} must be a list of strings")
        flag.value = value
        return
    try:
        flag.value = flag.parser.parse(value)
    except (ValueError, TypeError) as error:
        reason = " ".join(map(str, error.args))
        raise RunError(ExitCode.BAD_FLAG, f"{where} = {value!r}: {reason}") from None
