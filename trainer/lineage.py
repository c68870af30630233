"""What decides the result of a run besides its config and data: parent, code, and kernels.

A parent is what a run was started from; it is known by a digest, wherever it lies. Code is part of
the function: another one is refused, unless it is asked for. Kernels may change the last bits, so a
change of them is said. Either leaves a mark in the run that goes on.
"""

import dataclasses
import hashlib
import inspect
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from trainer import user_code, version

_PACKAGES = (Path(__file__).parent, Path(__file__).parents[1] / "common")
# Rooms that look on: a run is the same without them.
_LOOK_ON = ("commands", "monitoring", "report", "template", "tune")
_TRAINER = "trainer"


@dataclasses.dataclass(frozen=True)
class Change:
    """Something that was changed under a run that had begun.

    Attributes:
        step: the first one that was made otherwise comes after it.
        what: was changed.
        names: the files, or the facts with their old and new values.
    """

    step: int
    what: Literal["code", "kernels"]
    names: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.what} changed at step {self.step}: {', '.join(self.names)}"

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Change":
        """Undo `dataclasses.asdict`, also after it has been JSON."""
        return cls(plain["step"], plain["what"], tuple(plain["names"]))


@dataclasses.dataclass(frozen=True)
class Parent:
    """What a run was started from.

    Attributes:
        source: where it was, as the config says.
        digest: of its whole state, or SHA-256 of the file.
        step: of the checkpoint; -1: a file does not say.
        config: digest of its config; "": a file does not say.
        ancestors: what it was started from itself, the nearest first.
    """

    source: str
    digest: str
    step: int = -1
    config: str = ""
    ancestors: tuple["Parent", ...] = ()

    def __str__(self) -> str:
        step = f"step {self.step}, " if self.step >= 0 else ""
        return f"{self.source} ({step}{self.digest[:16]})"

    def line(self) -> str:
        """Return this parent and its ancestors as one line."""
        return " <- ".join(map(str, (self, *self.ancestors)))

    def to_plain(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Parent":
        """Undo `to_plain`, also after it has been JSON."""
        ancestors = tuple(cls.from_plain(ancestor) for ancestor in plain["ancestors"])
        return cls(**{**plain, "ancestors": ancestors})


class Code:
    """The sources of a process: those of the trainer, and the modules of the user's it has loaded.

    A file counts as it was when it was first seen: a run goes on with what it has loaded, whatever
    is written to the file meanwhile. Names are those of modules ("models/unet.py"), so that the
    same code in another folder, or in a pod, is the same. Of a notebook, which has no file, the
    functions and classes count that it has defined by then: "__main__:build_model".
    """

    def __init__(self) -> None:
        self._files = {_TRAINER: version.VERSION}
        self._files |= {name: _digest(path) for name, path in _of_the_trainer()}

    def files(self) -> dict[str, str]:
        """Return name -> digest of every file that has been loaded so far; "trainer" -> version."""
        for name, path in _of_the_user():
            if name not in self._files:
                self._files[name] = _digest(path)
        return {**_of_a_notebook(), **self._files}

    def changed(self, old: Mapping[str, str]) -> list[str]:
        """Name the files that are not what they were when `old` was made by `files`.

        Only what both know is compared. A file that is new here, or is not used any more, was named
        by another one that has changed for it; and modules are loaded as late as in the first step.
        """
        here = self.files()
        late = {name: _find(name) for name in old.keys() - here.keys()}
        here |= {name: _digest(path) for name, path in late.items() if path is not None}
        found = sorted(name for name in old.keys() & here.keys() if old[name] != here[name])
        if _TRAINER not in found:
            return found
        release = f"{_TRAINER} {old[_TRAINER]} -> {here[_TRAINER]}"  # stands for all its files
        return [release, *(name for name in found if name != _TRAINER and not _is_ours(name))]


def summarized(files: Mapping[str, str]) -> dict[str, Any]:
    """Return what a summary says of the code: one digest of all, and what belongs to the user.

    The trainer counts as one file, by its version: its users change theirs.
    """
    ours = {name: digest for name, digest in files.items() if _is_ours(name)}
    mine = {n: d for n, d in files.items() if n not in ours and n != _TRAINER}
    shown = {**mine, f"{_TRAINER} {version.VERSION}": _joined(ours)}
    return {"digest": _joined(shown), "files": dict(sorted(shown.items()))}


def differences(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """Name the facts of `version.kernels` that have changed: "cpu: A -> B"."""
    names = [name for name in old.keys() & new.keys() if old[name] != new[name]]
    return [f"{name}: {old[name]} -> {new[name]}" for name in sorted(names)]


def _is_ours(name: str) -> bool:
    return name.startswith(tuple(f"{package.name}/" for package in _PACKAGES))


def _of_the_trainer() -> Iterator[tuple[str, Path]]:
    for package in _PACKAGES:
        for path in sorted(package.rglob("*.py")):
            name = path.relative_to(package.parent)
            if name.parts[1] not in _LOOK_ON:
                yield name.as_posix(), path


def _of_the_user() -> Iterator[tuple[str, Path]]:
    for name, module in sorted(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if not (isinstance(file, str) and file.endswith(".py") and user_code.is_users(file)):
            continue
        path = Path(file)
        if name == "__main__":  # a script: its module has another name wherever it is imported
            yield path.name, path
        else:
            package = "/__init__" if path.name == "__init__.py" else ""
            yield f"{name.replace('.', '/')}{package}.py", path


def _of_a_notebook() -> dict[str, str]:
    """Return name -> digest of the functions and classes that a module without a file defines."""
    main = sys.modules["__main__"]
    if getattr(main, "__file__", None):
        return {}
    own = {n: x for n, x in vars(main).items() if getattr(x, "__module__", "") == "__main__"}
    return {
        f"__main__:{name}": hashlib.sha256(_source(thing).encode()).hexdigest()[:16]
        for name, thing in sorted(own.items())
        if inspect.isfunction(thing) or inspect.isclass(thing)
    }


def _source(thing: Any) -> str:
    """Return the text of a function or class; of a class in no file what its methods tell."""
    try:
        return inspect.getsource(thing)
    except (OSError, TypeError):  # typed into a shell; before Python 3.13 any class in a notebook
        held = vars(thing).items() if inspect.isclass(thing) else ()
        plain = [f"{n}={x!r}" for n, x in held if isinstance(x, int | float | str | tuple)]
        methods = [_source(x) for _, x in held if inspect.isfunction(x)]
        return "\n".join([*plain, *methods])


def _find(name: str) -> Path | None:
    """Return the file of a module that is not loaded yet, where an import would find it."""
    places = (Path(folder or ".") / name for folder in sys.path)
    return next((path for path in places if path.is_file()), None)


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    except OSError:  # removed since it was loaded
        return "unknown"


def _joined(files: Mapping[str, str]) -> str:
    lines = (f"{name} {digest}\n" for name, digest in sorted(files.items()))
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:16]
