"""`python -m launch VERB [flags] [-- trainer arguments]`: the launcher's command line."""

import dataclasses
import importlib
import sys
from collections.abc import Callable, Sequence

from absl import flags

from common import spelling
from common.exit_codes import ExitCode, RunError
from launch import flags as groups


@dataclasses.dataclass(frozen=True)
class Verb:
    """One verb.

    Attributes:
        summary: one line of help.
        groups: what defines its flags.
        function: `module:function` that does it, imported when called.
        operands: the names of its operands, for the help.
    """

    summary: str
    groups: tuple[groups.Define, ...]
    function: str
    operands: str = ""


_JOB = (groups.define_job,)
_SEEN = (groups.define_backend, groups.define_output)
VERBS = {
    "local": Verb(
        "run here, print the logs; Ctrl-C saves and stops",
        (*_JOB, groups.define_state),
        "jobs:run_local",
        "-- TRAINER_ARGS",
    ),
    "submit": Verb(
        "start a job and return",
        (*_JOB, *_SEEN, groups.define_submit),
        "jobs:submit",
        "-- TRAINER_ARGS",
    ),
    "render": Verb(
        "print the Kubernetes documents",
        (*_JOB, groups.define_output),
        "jobs:render",
        "-- TRAINER_ARGS",
    ),
    "list": Verb("all jobs", _SEEN, "views:list_jobs"),
    "describe": Verb("one job: state, first failure, what to try", _SEEN, "views:describe", "NAME"),
    "logs": Verb(
        "the logs of all workers",
        (groups.define_backend, groups.define_logs),
        "views:logs",
        "NAME",
    ),
    "wait": Verb(
        "until it ends: 0 done, 1 failed, 124 timeout, 130 detached",
        (*_SEEN, groups.define_timeout),
        "views:wait",
        "NAME",
    ),
    "cancel": Verb("save and stop", _SEEN, "views:cancel", "NAME"),
    "delete": Verb("remove the job's traces; its workdir stays", _SEEN, "views:delete", "NAME"),
    "doctor": Verb("is this place ready for a job", (*_SEEN, groups.define_doctor), "views:doctor"),
    "accelerators": Verb(
        "what can be asked for",
        (groups.define_output,),
        "accelerator_listing:show",
        "[NAME]",
    ),
    "lint": Verb(
        "find faults in anyone's manifests",
        (groups.define_output, groups.define_lint),
        "views:lint_files",
        "FILE...",
    ),
}


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
        raise RunError(ExitCode.BAD_FLAG, spelling.unknown("verb", name, VERBS))
    verb = VERBS[name]
    split = rest.index("--") if "--" in rest else len(rest)
    own, trainer = rest[:split], rest[split + 1 :]
    values = flags.FlagValues()
    for define in verb.groups:
        define(values)
    if {"--help", "-h"} & set(own):
        print(_help(name, verb, values))
        return 0
    operands = _parse(values, own)
    _check_operands(name, verb, operands, trainer)
    return _load(verb.function)(values, operands, trainer)


def _parse(values: flags.FlagValues, own: list[str]) -> list[str]:
    try:
        return values(["launch", *own])[1:]
    except flags.Error as error:
        raise RunError(ExitCode.BAD_FLAG, str(error)) from None


def _check_operands(name: str, verb: Verb, operands: list[str], trainer: list[str]) -> None:
    takes_trainer = verb.operands.startswith("--")
    if trainer and not takes_trainer:
        raise RunError(ExitCode.BAD_FLAG, f"`launch {name}` takes nothing after `--`")
    if takes_trainer and operands:
        raise RunError(
            ExitCode.BAD_FLAG,
            f"{operands[0]!r} stands alone; the trainer's arguments come after `--`",
        )
    if verb.operands == "NAME" and len(operands) != 1:
        raise RunError(ExitCode.BAD_FLAG, f"`launch {name}` takes the name of one job")
    if verb.operands == "FILE..." and not operands:
        raise RunError(ExitCode.BAD_FLAG, f"`launch {name}` takes at least one file")
    if not verb.operands and operands:
        raise RunError(ExitCode.BAD_FLAG, f"`launch {name}` takes no operand; got {operands[0]!r}")


def _load(path: str) -> Callable[[flags.FlagValues, list[str], list[str]], int]:
    module, _, function = path.partition(":")
    return getattr(importlib.import_module(f"launch.{module}"), function)


def _overview() -> str:
    lines = ["usage: python -m launch VERB [flags] [-- trainer arguments]", ""]
    lines += [f"  {name:<14}{verb.summary}" for name, verb in VERBS.items()]
    return "\n".join([*lines, "", "`python -m launch VERB --help` lists the flags of a verb."])


def _help(name: str, verb: Verb, values: flags.FlagValues) -> str:
    lines = [f"usage: python -m launch {name} [flags] {verb.operands}".rstrip(), verb.summary, ""]
    for flag in sorted(set(values) - {"help"}):
        default = values[flag].default
        shown = "" if default in (None, "", [], False) else f" [{default}]"
        lines.append(f"  --{flag:<20}{values[flag].help}{shown}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
