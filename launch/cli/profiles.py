"""Profiles: named sets of flag values in a small TOML file; flags on the command line win."""

import tomllib
from pathlib import Path
from typing import Any

from common import spelling
from launch.cli.flags import BACKEND, JOB, OUTPUT, SUBMIT, Flag, Value
from launch.spec.user_input import bad_flag, read_text

_ALLOWED = {flag.name: flag for flag in (*JOB, *BACKEND, *OUTPUT, *SUBMIT)}
for _name in ("profile", "profiles", "name"):
    del _ALLOWED[_name]
_KINDS = {str: "text", bool: "true or false", int: "a whole number", float: "a number"}


def read(path: Path, name: str) -> dict[str, Value]:
    """The values of one profile, by flag.

    One profile serves all verbs that start jobs: it may name the flags of each.

    Raises:
        RunError: BAD_FLAG for a missing file or section, an unknown key or a wrong value.
    """
    profiles = _sections(path)
    if name not in profiles:
        raise bad_flag(f"{spelling.unknown('profile', name, profiles)} ({path}, --profile)")
    for key in profiles[name]:
        if key not in _ALLOWED:
            raise bad_flag(f"{path} [{name}]: {spelling.unknown('key', key, _ALLOWED)}")
    return {
        key: _checked(_ALLOWED[key], value, f"{path} [{name}] {key}")
        for key, value in profiles[name].items()
    }


def _sections(path: Path) -> dict[str, dict[str, Any]]:
    try:
        content = tomllib.loads(read_text(path, f"--profiles={path}"))
    except tomllib.TOMLDecodeError as error:
        raise bad_flag(f"--profiles={path} is not TOML: {error}") from None
    for key, value in content.items():
        if not isinstance(value, dict):
            raise bad_flag(f"{path}: {key!r} stands outside a section; write [NAME] above")
    return content


def _checked(flag: Flag, value: object, where: str) -> Value:
    if isinstance(flag.default, tuple):
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise bad_flag(f"{where} = {value!r} must be a list of strings")
        return tuple(value)
    kind = type(flag.default)
    # True is an int to Python, and no number of workers to a user.
    if not isinstance(value, kind) or isinstance(value, bool) != (kind is bool):
        raise bad_flag(f"{where} = {value!r} must be {_KINDS[kind]}")
    if flag.choices and value not in flag.choices:
        raise bad_flag(f"{where} = {value!r} must be one of {', '.join(flag.choices)}")
    return value
