"""What a container runs: the programs behind shells and wrappers, and the words they are given."""

import dataclasses
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from launch.spec.documents import Document, mappings, sequence
from launch.spec.trainer_args import is_run

_SHELLS = {"sh", "bash", "dash", "ash", "zsh", "ksh"}
_SCRIPT_FLAG = re.compile(r"-[a-z]*c")
_ASSIGNED = re.compile(r"[A-Za-z_]\w*=")
_OPERATOR = re.compile(r"[;&|()<>\n]+")
_KEYWORDS = {"exec", "time", "then", "do", "else", "if", "while", "!", "{", "env", "command"}
_EXPANDED = re.compile(r"\$\(([A-Za-z_][\w.-]*)\)")
_IN_SHELL = re.compile(r"\$\{?([A-Za-z_]\w*)\}?")
_OUR_IMAGE = re.compile(r"(.*/)?lockstep([:@].*)?")


@dataclasses.dataclass(frozen=True, eq=False)
class Program:
    """One program that a container runs.

    Attributes:
        path: of the container inside the pod's spec.
        container: the container.
        words: the program and its arguments, variables with a known value put in.
        wheres: the field of each word.
        script: the whole script of the shell that starts it; "" where no shell does.
        replaces_shell: whether it takes the place of that shell, and so gets its signals.
        follows: the operator behind it in the script, for example `|`.
        trainer_args: what Lockstep's trainer is given; None where this is no run of it.
    """

    path: str
    container: Document
    words: tuple[str, ...]
    wheres: tuple[str, ...]
    script: str = ""
    replaces_shell: bool = True
    follows: str = ""
    trainer_args: tuple[str, ...] | None = None

    @property
    def name(self) -> str:
        """The program without its folder."""
        return PurePosixPath(self.words[0]).name if self.words else ""

    def where(self, flag: str) -> str:
        """The field of the word that gives a flag, or of the whole command."""
        for word, where in zip(self.words, self.wheres, strict=True):
            if word.partition("=")[0].lstrip("-") == flag and word.startswith("-"):
                return where
        return self.wheres[0] if self.wheres else f"{self.path}.args"


def items(path: str, container: Document) -> list[tuple[str, str]]:
    """Place and text of every item of command and args."""
    return [
        (f"{path}.{field}[{index}]", str(item))
        for field in ("command", "args")
        for index, item in enumerate(sequence(container, field))
    ]


def is_shell(word: str) -> bool:
    """Whether a program is a shell."""
    return PurePosixPath(word).name in _SHELLS


def script_at(texts: Sequence[str]) -> int | None:
    """The place of the script that a shell is given with `-c`, or None where no shell is."""
    if not texts or not is_shell(texts[0]):
        return None
    for index, text in enumerate(texts[1:], start=1):
        if _SCRIPT_FLAG.fullmatch(text):
            return index + 1 if index + 1 < len(texts) else None
        if not text.startswith(("-", "+")):
            break
    return None


def variables(container: Document) -> set[str]:
    """The names of the variables that a container is given one by one."""
    return {str(variable.get("name")) for variable in mappings(container, "env")}


def is_set(container: Document, name: str) -> bool:
    """Whether a container has a variable, or may have it from a source outside of the manifest."""
    return name in variables(container) or bool(mappings(container, "envFrom"))


def known_values(container: Document) -> dict[str, str]:
    """The variables of a container whose value the manifest tells."""
    values: dict[str, str] = {}
    for variable in mappings(container, "env"):
        if isinstance(variable.get("value"), str):
            values[str(variable.get("name"))] = expand(variable["value"], values)
    return values


def expand(text: str, values: dict[str, str], in_shell: bool = False) -> str:
    """The text with `$(NAME)`, and in a shell `$NAME`, replaced where the value is known."""

    def value(found: re.Match[str]) -> str:
        return values.get(found[1], found[0])

    text = _EXPANDED.sub(value, text)
    return _IN_SHELL.sub(value, text) if in_shell else text


def programs(path: str, container: Document) -> Iterator[Program]:
    """The programs of a container: one, or those of the script that its shell is given."""
    found = items(path, container)
    texts, values = [text for _, text in found], known_values(container)
    place = script_at(texts)
    if place is not None:
        yield from _of_script(path, container, found[place], values)
        return
    words = tuple(expand(text, values) for text in texts)
    args = trainer_args(words)
    if args is None and not container.get("command") and is_our_image(container):
        args = _if_run(words)  # the image starts the trainer
    if words or args is not None:
        wheres = tuple(where for where, _ in found)
        yield Program(path, container, words, wheres, trainer_args=args)


def is_our_image(container: Document) -> bool:
    """Whether the image is one of Lockstep's, whose entry point is the trainer."""
    return bool(_OUR_IMAGE.fullmatch(str(container.get("image", ""))))


def trainer_args(words: Sequence[str]) -> tuple[str, ...] | None:
    """What follows `python -m trainer`, or None where these words do not start a run."""
    for index in range(len(words) - 2, 0, -1):
        before = [word for word in words[:index] if not word.startswith("-")]
        is_python = bool(before) and PurePosixPath(before[-1]).name.startswith("python")
        if words[index] == "-m" and words[index + 1] == "trainer" and is_python:
            return _if_run(words[index + 2 :])
    return None


def _if_run(args: Sequence[str]) -> tuple[str, ...] | None:
    return tuple(args) if is_run(args) else None


def _of_script(
    path: str, container: Document, script: tuple[str, str], values: dict[str, str]
) -> Iterator[Program]:
    where, text = script
    commands = split(text)
    for index, (line, operator) in enumerate(commands):
        tokens, own = line, dict(values)
        replaces = tokens[0] == "exec"
        while tokens and (_ASSIGNED.match(tokens[0]) or tokens[0] in _KEYWORDS):
            name, assigned, value = tokens[0].partition("=")
            own |= {name: value} if assigned else {}
            tokens = tokens[1:]
        words = tuple(expand(token, own, in_shell=True) for token in tokens)
        if not words:
            values = values | own  # an assignment of the script itself
            continue
        yield Program(
            path,
            container,
            words,
            (where,) * len(words),
            script=text,
            replaces_shell=replaces,
            follows=operator.strip("\n;") if index + 1 == len(commands) else operator,
            trainer_args=trainer_args(words),
        )


def split(script: str) -> list[tuple[list[str], str]]:
    """The simple commands of a script, each with the operator behind it; empty if unreadable."""
    lines = script.replace("\\\n", " ").split("\n")
    text = "\n".join("" if line.lstrip().startswith("#") else line for line in lines)
    lexer = shlex.shlex(text.strip(), posix=True, punctuation_chars=";&|()<>\n")
    lexer.whitespace, lexer.commenters, lexer.whitespace_split = " \t\r", "", True
    commands: list[tuple[list[str], str]] = []
    tokens: list[str] = []
    try:
        for token in lexer:
            if _OPERATOR.fullmatch(token):
                commands += [(tokens, token)] if tokens else []
                tokens = []
            else:
                tokens.append(token)
    except ValueError:  # a quotation that does not end
        return []
    return [*commands, (tokens, "")] if tokens else commands
