"""Typed values for the config: from a command line, from Python and to JSON."""

import dataclasses
import json
import keyword
import math
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from common import spelling
from common.exit_codes import ExitCode, RunError

T = TypeVar("T")
_KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


def override(config: T, settings: Iterable[tuple[str, str]]) -> T:
    """Return `config` with fields replaced: ("optimizer.learning_rate", "0.1"), ...

    Raises:
        RunError: BAD_CONFIG naming an unknown field (with the nearest one) or a wrong value.
    """
    values = to_plain(config)
    for path, text in settings:
        _set(values, type(config), path, text)
    return from_plain(type(config), values)


def to_plain(config: Any) -> dict[str, Any]:
    """Return the config as nested dicts, lists and scalars.

    Raises:
        RunError: BAD_CONFIG naming a value that is none of these.
    """
    plain = dataclasses.asdict(
        config, dict_factory=lambda fields: {plain_name(n): v for n, v in fields}
    )
    return json.loads(json.dumps(plain, default=_refuse_object))


def plain_name(attribute: str) -> str:
    """Return how files and flags call a field: `from_` is "from", which Python keeps for itself."""
    name = attribute.removesuffix("_")
    return name if keyword.iskeyword(name) else attribute


def attribute(name: str) -> str:
    """Undo `plain_name`."""
    return f"{name}_" if keyword.iskeyword(name) else name


def fields_of(kind: Any) -> dict[str, Any]:
    """Return the types of the fields of a group by their plain names."""
    return {plain_name(name): hint for name, hint in typing.get_type_hints(kind).items()}


def from_plain(kind: type[T], values: Mapping[str, Any], where: str = "config") -> T:
    """Build the dataclass `kind` from plain values; every type is checked.

    Raises:
        RunError: BAD_CONFIG naming the field, the value and the type that is allowed.
    """
    hints = fields_of(kind)
    fields = {plain_name(f.name): f for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for name in values:
        if name not in fields:
            raise _unknown(f"{where}.{name}", name, [*fields])
    for name in fields.keys() - values.keys():
        if fields[name].default is fields[name].default_factory is dataclasses.MISSING:
            raise RunError(ExitCode.BAD_CONFIG, f"{where}.{name} is missing: set it as well")
    converted = {attribute(n): _convert(hints[n], v, f"{where}.{n}") for n, v in values.items()}
    return kind(**converted)


def difference(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Name what differs between two plain configs: ["optimizer.learning_rate: 0.1 -> 0.2"]."""
    lines = []
    for name in sorted({*old, *new}):
        before, after = old.get(name), new.get(name)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            lines += difference(before, after, f"{prefix}{name}.")
        elif before != after:
            lines.append(f"{prefix}{name}: {json.dumps(before)} -> {json.dumps(after)}")
    return lines


def leaves(kind: Any, prefix: str = "") -> Iterator[str]:
    """Name every field that is no group: "seed", "optimizer.learning_rate", ..."""
    for name, hint in fields_of(kind).items():
        if dataclasses.is_dataclass(hint):
            yield from leaves(hint, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def _refuse_object(value: Any) -> Any:
    raise RunError(
        ExitCode.BAD_CONFIG,
        f"config holds {value!r}, a {type(value).__name__}; allowed: numbers, text, None, "
        "lists, and mappings of these by text",
    )


def _set(values: dict[str, Any], kind: Any, path: str, text: str) -> None:
    """Put the typed `text` at `path`, walking dataclasses by field and dicts by key."""
    *parents, last = path.split(".")
    for name in parents:
        kind = _member(kind, name, path)
        if values.get(name) is None:
            values[name] = {}
        values = values[name]
        if not isinstance(values, dict):
            raise RunError(ExitCode.BAD_CONFIG, f"config.{path}: {name!r} has no fields")
    kind = _member(kind, last, path)
    if dataclasses.is_dataclass(kind):
        names = ", ".join(fields_of(kind))
        raise RunError(ExitCode.BAD_CONFIG, f"config.{path} is a group; set one of: {names}")
    values[last] = text if kind is str else _literal(text)


def _member(kind: Any, name: str, path: str) -> Any:
    if dataclasses.is_dataclass(kind):
        hints = fields_of(kind)
        if name not in hints:
            raise _unknown(f"config.{path}", name, [*hints, *leaves(kind)])
        return _without_none(hints[name])
    if typing.get_origin(kind) is dict:
        return typing.get_args(kind)[1]
    if kind is Any:
        return Any
    raise RunError(ExitCode.BAD_CONFIG, f"config.{path}: {name!r} is not a field of a group")


def _without_none(kind: Any) -> Any:
    return typing.get_args(kind)[0] if typing.get_origin(kind) is types.UnionType else kind


def _literal(text: str) -> Any:
    """Read `text` as JSON where it is JSON (also `True`, `None`), else as a string."""
    named = {"True": True, "False": False, "None": None}
    if text in named:
        return named[text]
    try:
        return json.loads(text)
    except ValueError:
        return text


def _convert(kind: Any, value: Any, where: str) -> Any:  # noqa: PLR0911 - one return a kind of type
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return value
    if origin in (types.UnionType, typing.Union):
        return _convert_either(args, value, where)
    if origin is typing.Literal:
        if value not in args:
            raise _wrong(where, value, "one of " + ", ".join(map(str, args)), args)
        return value
    if dataclasses.is_dataclass(kind):
        return _convert_group(typing.cast(type, kind), value, where)
    if origin is tuple:
        return tuple(
            _convert(args[0], v, f"{where}[{i}]") for i, v in enumerate(_list(value, where))
        )
    if origin is dict:
        if not isinstance(value, Mapping):
            raise _wrong(where, value, "a mapping such as {}")
        return {k: _convert(args[1], v, f"{where}.{k}") for k, v in value.items()}
    return _scalar(kind, value, where)


def _convert_either(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    """Take None of `X | None` and a word of `X | Literal[...]` as they are, all else as an X."""
    words = tuple(w for kind in kinds[1:] for w in typing.get_args(kind) or (None,))
    if value in words:
        return value
    if isinstance(value, str) and any(words):
        raise _wrong(where, value, f"{_KINDS[kinds[0]]} or {' or '.join(words)}", words)
    return _convert(kinds[0], value, where)


def _convert_group(kind: type, value: Any, where: str) -> Any:
    if isinstance(value, kind):
        return value
    if isinstance(value, str) and "name" in {f.name for f in dataclasses.fields(kind)}:
        value = {"name": value}
    if not isinstance(value, Mapping):
        raise _wrong(where, value, f"the fields of {kind.__name__}")
    return from_plain(kind, value, where)


def _scalar(kind: Any, value: Any, where: str) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if type(value) is not kind or (kind is float and math.isnan(value)):
        raise _wrong(where, value, _KINDS.get(kind, str(kind)))
    return value


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, (list, tuple)):
        raise _wrong(where, value, 'a list such as ["accuracy"]')
    return list(value)


def _unknown(where: str, name: str, names: list[str]) -> RunError:
    first = dict.fromkeys(n for n in names if "." not in n)
    hint = spelling.did_you_mean(name, names) or f"fields: {', '.join(first)}"
    return RunError(ExitCode.BAD_CONFIG, f"{where}: unknown field {name!r}; {hint}")


def _wrong(where: str, value: Any, allowed: str, choices: tuple[Any, ...] = ()) -> RunError:
    hint = spelling.did_you_mean(str(value), map(str, choices))
    reason = "; ".join(filter(None, (f"{where}={value!r} must be {allowed}", hint)))
    return RunError(ExitCode.BAD_CONFIG, reason)
