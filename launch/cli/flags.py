"""Flags: those that the fields of a job make, and the few that belong to the verbs alone."""

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from launch.spec import names, sweep, trainer_args
from launch.spec.job import JobSpec, Option, options

Value = str | int | float | bool | tuple[str, ...]
_METAVARS = {str: "TEXT", int: "NUMBER", float: "NUMBER", tuple: "TEXT"}


@dataclasses.dataclass(frozen=True)
class Flag:
    """One flag.

    Attributes:
        name: without dashes.
        default: where it is not given. Its type is the flag's: a bool is given as --NAME or
            --noNAME, a tuple collects the text of every time that the flag is given.
        help: one phrase.
        choices: the values allowed; empty for any.
        unit: of the value, or "".
    """

    name: str
    default: Value
    help: str
    choices: tuple[str, ...] = ()
    unit: str = ""

    def add_to(self, parser: argparse.ArgumentParser) -> None:
        """Adds the flag; one that is not given leaves no trace in what is parsed."""
        kind, text = type(self.default), self.help.replace("%", "%%")
        if self.default:
            text += f" [{self.default}]"
        if kind is bool:
            # Without a value that may follow a space: `logs --follow NAME` names a job.
            name, hidden = f"--{self.name}", argparse.SUPPRESS
            off = (f"--no{self.name}", f"{name}=false")
            for words, on, told in (
                ((name,), True, text),
                ((f"{name}=true",), True, hidden),
                (off, False, hidden),
            ):
                parser.add_argument(
                    *words, dest=self.name, action="store_const", const=on, help=told
                )
            return
        parser.add_argument(
            f"--{self.name}",
            action="append" if kind is tuple else "store",
            type=str if kind is tuple else kind,
            choices=self.choices or None,
            metavar="|".join(filter(None, self.choices)) or self.unit.upper() or _METAVARS[kind],
            help=text,
        )


def _of_field(name: str, option: Option, default: Any) -> list[Flag]:
    flags = option.flags or ((name, option.help),)
    return [Flag(flag, default, text, option.choices, option.unit) for flag, text in flags]


JOB = (
    Flag("name", "", "exact name; by default a random one"),
    *(flag for name, told in options().items() for flag in _of_field(name, *told)),
    Flag("code", "", "file or folder to add to the code of the image"),
    Flag("sweep", "", "file with the trials of a sweep"),
    Flag("profile", "", "section of the profile file"),
    Flag("profiles", "launch.toml", "the profile file"),
)
STATE = (Flag("state_dir", "", "state folder of local jobs"),)
BACKEND = (
    Flag("backend", "local", "where the job runs", ("local", "kubernetes")),
    *STATE,
    Flag("context", "", "context of the kubeconfig"),
    *_of_field("namespace", *options()["namespace"]),
)
OUTPUT = (Flag("output", "text", "form of the answer", ("text", "json", "yaml")),)
SUBMIT = (
    Flag("yes", False, "do not ask on a terminal"),
    Flag("like", "", "workdir of an earlier run, for the expected time"),
    Flag("price_per_hour", 0.0, "of one worker, for the expected cost"),
    Flag("follow", False, "print logs until the job ends"),
    Flag(
        "dry_run",
        "none",
        "start nothing: print what would run, or ask the server",
        ("none", "client", "server"),
    ),
)
CHECK = (Flag("check", True, "let the trainer judge the config first"),)
TIMEOUT = (Flag("timeout_secs", 0.0, "give up after this time; 0: never", unit="seconds"),)
LOGS = (
    Flag("follow", False, "go on until the job ends"),
    Flag("worker", -1, "one worker or trial; -1: all"),
)
TOP = (
    Flag("backend", "all", "where the jobs run", ("all", "local", "kubernetes")),
    *(flag for flag in BACKEND if flag.name != "backend"),
)
TENSORBOARD = (Flag("port", 6006, "of 127.0.0.1, where TensorBoard listens"),)
ATTACH = (
    Flag("worker", 0, "which worker or trial"),
    Flag("shell", False, "open a shell beside it in place of its stacks"),
)
LINT = (
    Flag("schemas", True, "check schemas too"),
    Flag("strict", False, "ask everyone for our style, and fail for warnings and style"),
    Flag("cluster", False, "ask the cluster for what the files name and do not hold"),
    *(flag for flag in BACKEND if flag.name in ("context", "namespace")),
)
DOCTOR = (Flag("path", (), "data folder or workdir to look for"),)


def spec_from(values: argparse.Namespace, command: tuple[str, ...]) -> JobSpec:
    """The job that flags and trainer arguments describe; not yet checked.

    Args:
        values: of the flags of `JOB`, with the trainer's arguments as `trainer`.
        command: what starts the trainer.

    Raises:
        RunError: BAD_FLAG for a malformed value.
    """
    fields = {name: _value(values, name, option) for name, (option, _) in options().items()}
    config = trainer_args.value(values.trainer, "config") or "run"
    name = values.name or names.generate(Path(config).stem)
    code, args = None, tuple(values.trainer)
    if values.code:
        from launch.code import upload

        code, args = upload.collect(values.code, args)
    spec = JobSpec(**fields, name=name, args=args, command=command, code=code)
    if not values.sweep:
        return spec
    trials, halving = sweep.load(Path(values.sweep), spec.workdir or f"runs/{name}")
    return dataclasses.replace(spec, trials=trials, halving=halving)


def _value(values: argparse.Namespace, name: str, option: Option) -> Any:
    if option.read is None:
        return getattr(values, name)
    flags = [flag for flag, _ in option.flags] or [name]
    return tuple(option.read(flag, text) for flag in flags for text in getattr(values, flag))
