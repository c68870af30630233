"""Every field and flag, and what the program is like that ignores it.

`python -m tests.mutation --ignored` plants each and runs the test that `table.py` names for it.
"""

import dataclasses
import hashlib
import inspect
import pathlib
import types
import typing
from collections.abc import Iterator, Mapping

from launch.cli import flags as launch_flags
from tests.behaviour.table import TESTS
from tests.mutation.faults import Fault
from tests.mutation.private_tree import PrivateTree
from tests.processes import ROOT
from trainer.config import PartConfig, TrainConfig, conversion, flags

_UNITS = {"train_steps": {"epochs": 1.0}, "epochs": {"train_steps": 3}}
"""A run has a length: what it is where the one that was asked for is ignored."""

_CONFIG = """

def _ignore(kind, change):
    made = kind.__init__

    def __init__(self, *args, **kwargs):
        made(self, *args, **kwargs)
        for name, value in change(self).items():
            object.__setattr__(self, name, value)

    kind.__init__ = __init__


_ignore({kind}, lambda self: {change})
"""
_TRAINER = """

FLAGS["{name}"].parse = lambda _: None
"""
_LAUNCH = """

class _Ignored(Flag):
    def add_to(self, parser):
        super().add_to(parser)
        for action in parser._actions:
            if action.dest == self.name:
                action.dest = "ignored"


{group} = tuple(_Ignored(**vars(f)) if f.name == "{name}" else f for f in {group})
"""
_GROUPS = (
    "job",
    "backend",
    "state",
    "output",
    "submit",
    "check",
    "timeout",
    "logs",
    "lint",
    "doctor",
)


def names() -> list[str]:
    """Return every field of the config, flag of the trainer and flag of the launcher."""
    return [*config_fields(), *trainer_flags(), *launch_flags_by_group()]


def config_fields() -> list[str]:
    return [f"config.{leaf}" for leaf in conversion.leaves(TrainConfig)]


def trainer_flags() -> list[str]:
    own = flags.FLAGS.flags_by_module_dict()[flags.__name__]
    return [f"trainer.{flag.name}" for flag in own]


def launch_flags_by_group() -> list[str]:
    """Return `launch.GROUP.FLAG`: a name may stand in two groups for two things."""
    return [f"launch.{group}.{flag}" for group, flag in _launch_flags()]


def _launch_flags() -> Iterator[tuple[str, str]]:
    for group in _GROUPS:
        for flag in getattr(launch_flags, group.upper()):
            yield group, flag.name


def faults() -> list[Fault]:
    """One fault for each row of the table."""
    return [_fault(name, test) for name, test in TESTS.items()]


def _fault(name: str, test: str) -> Fault:
    file, code = _change(name)

    def plant(tree: PrivateTree) -> None:
        path = tree.folder / file
        path.write_text(path.read_text() + code)

    digest = hashlib.sha256(f"{code}{test}".encode()).hexdigest()
    return Fault(name, plant, digest, tests=(test,))


def _change(name: str) -> tuple[pathlib.Path, str]:
    """Return the file and what is written at its end."""
    kind, _, rest = name.partition(".")
    if kind == "trainer":
        return _file_of(flags), _TRAINER.format(name=rest)
    if kind == "launch":
        group, _, flag = rest.partition(".")
        return _file_of(launch_flags), _LAUNCH.format(group=group.upper(), name=flag)
    return _file_of(TrainConfig), _config_change(rest)


def _file_of(what: type | types.ModuleType) -> pathlib.Path:
    return pathlib.Path(inspect.getfile(what)).resolve().relative_to(ROOT)


def _config_change(leaf: str) -> str:
    """The group that holds the field is made with its default; a part, by the group around it."""
    kind, holder, names = TrainConfig, TrainConfig(epochs=1), leaf.split(".")
    while len(names) > 1:
        inner = conversion.fields_of(kind)[names[0]]
        if isinstance(inner, type) and issubclass(inner, PartConfig):
            part, field = names
            default = getattr(getattr(holder, part), field)
            change = f"{{{part!r}: dataclasses.replace(self.{part}, {field}={default!r})}}"
            return _CONFIG.format(kind=kind.__name__, change=change)
        kind, holder, names = inner, getattr(holder, names[0]), names[1:]
    (plain,) = names
    name = conversion.attribute(plain)
    if name in _UNITS:
        change = f"{{{name!r}: 0, **{_UNITS[name]!r}}} if self.{name} else {{}}"
    else:
        change = f"{{{name!r}: {_default(kind, name)}}}"
    return _CONFIG.format(kind=kind.__name__, change=change)


def _default(kind: type, name: str) -> str:
    """Return the default as code of the file of its class."""
    fields: Mapping[str, typing.Any] = {f.name: f for f in dataclasses.fields(kind)}
    field = fields[name]
    made = field.default_factory() if field.default is dataclasses.MISSING else field.default
    return repr(made)
