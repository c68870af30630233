"""The verbs and their command lines."""

import argparse
import dataclasses
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from common import spelling
from common.exit_codes import ExitCode, RunError
from launch.cli import profiles
from launch.cli.flags import (
    ATTACH,
    BACKEND,
    CHECK,
    DOCTOR,
    JOB,
    LINT,
    LOGS,
    OUTPUT,
    STATE,
    SUBMIT,
    TENSORBOARD,
    TIMEOUT,
    TOP,
    Flag,
)
from launch.spec.user_input import bad_flag

_TRAINER = "-- TRAINER_ARGS"
_OPERANDS = {
    "": (0, 0, "no operand"),
    "NAME": (1, 1, "the name of one job"),
    "[NAME]": (0, 1, "one name at most"),
    "FILE...": (1, sys.maxsize, "at least one file"),
}


@dataclasses.dataclass(frozen=True)
class Verb:
    """One verb.

    Attributes:
        help: one line, in the imperative.
        flags: all that it takes.
        function: `module:function` of this package; takes the parsed values, returns the exit
            code. Imported when called: clients of clusters are heavy.
        operands: their names, for the help.
    """

    help: str
    flags: tuple[Flag, ...]
    function: str
    operands: str = ""


_SEEN = (*BACKEND, *OUTPUT)
VERBS = {
    "local": Verb(
        "run here and print the logs; Ctrl-C saves and stops",
        (*JOB, *STATE, *CHECK),
        "jobs:run_local",
        _TRAINER,
    ),
    "submit": Verb(
        "start a job and return", (*JOB, *_SEEN, *SUBMIT, *CHECK), "jobs:submit", _TRAINER
    ),
    "render": Verb("print the Kubernetes documents", (*JOB, *OUTPUT), "jobs:render", _TRAINER),
    "list": Verb("list all jobs", _SEEN, "views:list_jobs"),
    "describe": Verb(
        "show one job: state, first failure, what to try", _SEEN, "views:describe", "NAME"
    ),
    "logs": Verb("print the logs of all workers", (*BACKEND, *LOGS), "views:logs", "NAME"),
    "top": Verb("show step, rate, ETA and goodput of all jobs", (*TOP, *OUTPUT), "watch:top"),
    "tensorboard": Verb(
        "show the curves of a job until Ctrl-C",
        (*BACKEND, *TENSORBOARD),
        "watch:tensorboard",
        "NAME",
    ),
    "attach": Verb(
        "print the Python stacks of a running worker", (*BACKEND, *ATTACH), "watch:attach", "NAME"
    ),
    "wait": Verb(
        "wait for the end: 0 done, 1 failed, 124 timeout, 130 detached",
        (*_SEEN, *TIMEOUT),
        "views:wait",
        "NAME",
    ),
    "cancel": Verb("save and stop", _SEEN, "views:cancel", "NAME"),
    "delete": Verb("remove a job but its workdir", _SEEN, "views:delete", "NAME"),
    "doctor": Verb("check whether jobs can run", (*_SEEN, *DOCTOR), "views:doctor"),
    "accelerators": Verb("list accelerators", OUTPUT, "accelerators:show_accelerators", "[NAME]"),
    "migrate": Verb(
        "turn TFJobs of Kubeflow into commands", OUTPUT, "migrate:migrate_files", "FILE..."
    ),
    "lint": Verb("find faults in any manifests", (*OUTPUT, *LINT), "lint:lint_files", "FILE..."),
}


class Parser(argparse.ArgumentParser):
    """The flags of one verb; a mistake becomes one line and exit code 64."""

    def __init__(self, name: str) -> None:
        verb = VERBS[name]
        super().__init__(
            usage=f"python -m launch {name} [flags] {verb.operands}".rstrip(),
            description=verb.help,
            epilog="Turn a switch off by --noNAME.",
            # Only what is given is parsed: a profile is asked before the defaults.
            argument_default=argparse.SUPPRESS,
            # `--worker` is a flag of `logs`; it must not pass for `--workers`.
            allow_abbrev=False,
            add_help=False,
            formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=36),
        )
        flags = {flag.name: flag for flag in verb.flags}  # a job and a backend share --namespace
        for flag_name in sorted(flags):
            flags[flag_name].add_to(self)

    def error(self, message: str) -> NoReturn:
        """Refuses the command line."""
        raise bad_flag(message)


def main(argv: Sequence[str]) -> int:
    """Does what the command line says and returns the exit code.

    Args:
        argv: the arguments without the program's name.
    """
    try:
        return _dispatch(list(argv))
    except RunError as error:
        print(f"launch: {error.reason}", file=sys.stderr)
        return int(error.code)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader, for example `head`, has seen enough
        sys.stderr.close()
        return 0
    except OSError as error:  # a file that cannot be read, a folder that cannot be written
        print(f"launch: {error}", file=sys.stderr)
        return int(ExitCode.BAD_FLAG)


def _dispatch(argv: list[str]) -> int:
    if not argv or argv[0] in {"--help", "-h", "help"}:
        print(_overview())
        return 0
    name, *rest = argv
    if name not in VERBS:
        raise bad_flag(spelling.unknown("verb", name, VERBS))
    if {"--help", "-h"} & set(_split(rest)[0]):
        print(Parser(name).format_help(), end="")
        return 0
    values = parse(name, rest)
    module, _, function = VERBS[name].function.partition(":")
    return int(getattr(importlib.import_module(f"launch.cli.{module}"), function)(values))


def parse(name: str, argv: Sequence[str]) -> argparse.Namespace:
    """The values of all flags of a verb, its `operands`, and what follows `--` as `trainer`.

    A flag on the command line wins over the profile, the profile over the default.

    Raises:
        RunError: BAD_FLAG.
    """
    before, trainer = _split(argv)
    # What the parser does not know: operands, wherever they stand, and flags that do not exist.
    given, operands = Parser(name).parse_known_args(before)
    flags = {flag.name: flag.default for flag in VERBS[name].flags}
    if unknown := [word for word in operands if word.startswith("-")]:
        known = [f"--{flag}" for flag in flags]
        raise bad_flag(spelling.unknown("flag", unknown[0].partition("=")[0], known))
    _check_operands(name, operands, trainer)
    values = flags | vars(given)
    if values.get("profile"):
        chosen = profiles.read(Path(str(values["profiles"])), str(values["profile"]))
        values = flags | {key: chosen[key] for key in chosen if key in flags} | vars(given)
    return argparse.Namespace(**values, operands=operands, trainer=trainer)


def _split(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """What stands before `--`, and what follows it."""
    words = [*argv, "--"]
    end = words.index("--")
    return words[:end], list(argv[end + 1 :])


def _check_operands(name: str, operands: list[str], trainer: list[str]) -> None:
    wanted = VERBS[name].operands
    if wanted == _TRAINER:
        if operands:
            raise bad_flag(f"{operands[0]!r} stands alone; the trainer's arguments come after `--`")
    elif trainer:
        raise bad_flag(f"`launch {name}` takes nothing after `--`")
    else:
        fewest, most, told = _OPERANDS[wanted]
        if not fewest <= len(operands) <= most:
            raise bad_flag(f"`launch {name}` takes {told}; got {' '.join(operands) or 'none'}")


def _overview() -> str:
    lines = ["usage: python -m launch VERB [flags] [-- trainer arguments]", ""]
    lines += [f"  {name:<14}{verb.help}" for name, verb in VERBS.items()]
    return "\n".join([*lines, "", "`python -m launch VERB --help` lists the flags of a verb."])
