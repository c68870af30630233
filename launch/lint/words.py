"""Commands and arguments: every word reaches the program as its author meant it."""

import re
from collections.abc import Iterator

from common.cluster_description import INDEX_VARIABLE
from launch.lint import commands
from launch.lint.commands import Program
from launch.lint.finding import Finding, error, style, warning
from launch.lint.pods import Pods
from launch.lint.slips import did_you_mean, is_slip
from launch.lint.variables import known_names
from launch.spec.documents import Document

_TWO_FLAGS = re.compile(r"--?[A-Za-z][\w.-]*(=[^-\s]\S*|\s+[^-\s]\S*)?\s+--?[A-Za-z].*", re.DOTALL)
_FLAG_AND_VALUE = re.compile(r"--[A-Za-z][\w.-]*\s+[^-\s].*", re.DOTALL)
_SHELL_VARIABLE = re.compile(r"\$(\{[A-Za-z_]\w*\}|[A-Z_][A-Z0-9_]+\b)")
_PROGRAMS = ("python", "python3", "torchrun", "accelerate", "deepspeed", "mpirun", "tensorboard")
_POSITIONAL = re.compile(r"\$[@*#1-9]|\$\{[@*#1-9]")
_ASSIGNED = re.compile(r"(?:^|[\s;&|(])([A-Za-z_]\w*)(?:=| in )|\bread (?:-r )?(\w+)")
_INTERPRETERS = re.compile(r"(python[\d.]*|perl|ruby|node|awk)")


def check_words(pods: Pods) -> Iterator[Finding]:
    """All rules on the items of command and args."""
    for path, container in pods.containers():
        found = commands.items(path, container)
        texts = [text for _, text in found]
        place = commands.script_at(texts)
        if container.get("command"):
            yield from _check_program(pods, found)
        if place is not None:
            yield from _check_script(pods, found, place)
            yield from _check_script_variables(pods, container, found[place])
        else:
            yield from _check_file_of_shell(pods, found)
            yield from _check_items(pods, found)
    for program in pods.programs:
        yield from _check_program_name(pods, program)
        yield from _check_index(pods, program)
    for program in pods.trainers:
        yield from _check_signals(pods, program)
    for path, container in pods.containers("containers") if pods.is_ours else ():
        if not container.get("command") and not commands.is_our_image(container):
            yield style(
                pods.at(f"{path}.command"), "the image decides what runs", "write the command"
            )


def _check_program(pods: Pods, found: list[tuple[str, str]]) -> Iterator[Finding]:
    where, text = found[0] if found else ("", "")
    if any(letter.isspace() for letter in text.strip()):
        yield error(
            pods.at(where),
            f"no program is called {text!r}: no shell splits it",
            "write each word as an item of its own",
        )


def _check_script(pods: Pods, found: list[tuple[str, str]], place: int) -> Iterator[Finding]:
    script = found[place][1]
    # The first word behind a script is a name for the shell itself.
    rest = [one for one in found[place + 1 :] if one[1] != "--" and not commands.is_shell(one[1])]
    takes_arguments = _POSITIONAL.search(script) or any(
        _POSITIONAL.search(text) for _, text in rest
    )
    if rest and not takes_arguments:
        yield error(
            pods.at(found[place][0]),
            f"the shell runs {script!r} alone: the {len(rest)} items behind it are not its words",
            "leave the shell out, or write one item with the whole command",
        )


def _check_file_of_shell(pods: Pods, found: list[tuple[str, str]]) -> Iterator[Finding]:
    texts = [text for _, text in found]
    if len(texts) > 1 and commands.is_shell(texts[0]) and " " in texts[1].strip():
        yield error(
            pods.at(found[1][0]),
            f"the shell looks for a file called {texts[1][:40]!r}",
            "write -c before it",
        )


def _check_items(pods: Pods, found: list[tuple[str, str]]) -> Iterator[Finding]:
    after_c = False
    for index, (where, text) in enumerate(found):
        is_script = after_c
        after_c = text == "-c" and bool(_INTERPRETERS.search(found[index - 1][1] if index else ""))
        if is_script or "\n" in text or text.lstrip().startswith(("[", "{")):
            continue
        if _TWO_FLAGS.fullmatch(text):
            yield error(
                pods.at(where),
                f"{text!r} is one argument: no shell splits it",
                "write each flag as an item of its own",
            )
        elif _FLAG_AND_VALUE.fullmatch(text):
            make = error if pods.trainers else warning
            yield make(
                pods.at(where),
                f"{text!r} is one argument: the program looks for a flag with a space in its name",
                f"write {text.replace(' ', '=', 1)!r}, or two items",
            )
        if name := _SHELL_VARIABLE.search(text.replace("$$", "")):
            plain = name[0].strip("${}")
            yield error(
                pods.at(where),
                f"{name[0]} stays as it is written: no shell reads this argument",
                f"write $({plain}) and define {plain} in env, or start a shell with -c",
            )


def _check_script_variables(
    pods: Pods, container: Document, script: tuple[str, str]
) -> Iterator[Finding]:
    """A name that is misspelt is empty in a shell, without a word."""
    where, text = script
    known = known_names(pods, container)
    if known is None:
        return
    assigned = {found for pair in _ASSIGNED.findall(text) for found in pair}
    names = {found.strip("{}") for found in re.findall(r"\$(\{[A-Z_]\w*|[A-Z_][A-Z0-9_]+)", text)}
    for name in sorted(names - known - assigned):
        if near := did_you_mean(name, known | assigned):
            yield error(pods.at(where), f"${name} is empty: no variable has this name", near)


def _check_program_name(pods: Pods, program: Program) -> Iterator[Finding]:
    if near := did_you_mean(program.name, _PROGRAMS):
        yield error(
            pods.at(program.wheres[0]),
            f"no program is called {program.name!r}: exit code 127",
            near,
        )
    for index, word in enumerate(program.words[1:], start=1):
        if program.words[index - 1] == "-m" and is_slip(word, "trainer"):
            yield error(
                pods.at(program.wheres[index]),
                f"no module is called {word!r}: Python ends with 1",
                "did you mean 'trainer'?",
            )


def _check_index(pods: Pods, program: Program) -> Iterator[Finding]:
    """Only an Indexed Job tells its pods their place."""
    text = " ".join(program.words) + program.script
    named = INDEX_VARIABLE in commands.variables(program.container)
    untold = pods.kind == "Job" and not pods.is_indexed and not named
    if untold and INDEX_VARIABLE in text:
        yield error(
            pods.of_owner("completionMode"),
            f"{pods.owner.get('completionMode', 'NonIndexed')}: {INDEX_VARIABLE} is not set, and "
            f"{program.path} uses it",
            "write Indexed, and completions",
        )


def _check_signals(pods: Pods, program: Program) -> Iterator[Finding]:
    """A shell that stays is told to stop, and does not tell the trainer."""
    if not program.script or not pods.is_ours:
        return
    where = pods.at(program.where("no flag"))
    if "|" in program.follows and "||" not in program.follows and "pipefail" not in program.script:
        yield error(
            where,
            "the exit code is that of the last command of the pipe: a failed run succeeds",
            "take the pipe away: the cluster keeps the log",
        )
    if program.follows == "&" and not program.script.rstrip().endswith("wait"):
        yield error(
            where,
            "the shell ends at once, and with it the container: the run is in the background",
            "take the & away",
        )
    elif not program.replaces_shell:
        make = error if program.follows or len(commands.split(program.script)) > 1 else warning
        yield make(
            where,
            "the shell gets SIGTERM and does not pass it on: the run is killed without a save",
            "write `exec` before python, or leave the shell out",
        )
