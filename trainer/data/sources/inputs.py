"""What a data function reads: the files of its code, and of its data.

What it made is kept, and it is not called again as long as these stay as they are. What it reads
from elsewhere (a network, the environment) is not seen.
"""

import ast
import contextlib
import functools
import hashlib
import os
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from trainer import user_code

Stamps = dict[str, list[int]]
"""Path -> size and time."""

_CODE = (".py", ".pyc", ".so")
_NO_DATA = ("/proc/", "/sys/", "/dev/")
_LISTS = ("os.listdir", "os.scandir")
_watching: set[str] | None = None
_is_hooked = False


def code(module: str) -> dict[str, str]:
    """Return file -> digest of a module of the user's and of those that it imports, in any depth.

    Found in the text: whatever else is loaded, the same module has the same files. "" in place of
    a digest is what cannot be told: a module without a file.
    """
    found: dict[str, str] = {}
    todo = [module]
    while todo:
        name = todo.pop()
        path = _file(name)
        if path is None or str(path) in found:
            continue
        text = path.read_bytes()
        found[str(path)] = hashlib.sha256(text).hexdigest()[:16]
        todo += user_code.imported(ast.parse(text), name, is_package=path.name == "__init__.py")
    return found


def _file(module: str) -> Path | None:
    """Return the file of a module of the user's; it is not imported for that."""
    loaded = getattr(sys.modules.get(module), "__file__", None)
    parts = module.replace(".", "/")
    places = [
        Path(folder or ".") / name
        for folder in sys.path
        for name in (f"{parts}.py", f"{parts}/__init__.py")
    ]
    for path in [Path(loaded)] if loaded else places:
        if path.is_file() and path.suffix == ".py" and user_code.is_users(str(path)):
            return path.resolve()
    return None


@contextlib.contextmanager
def watched(code: Iterable[str]) -> Iterator[set[str]]:
    """Give the set of all files that Python opens, and folders that it lists, in the block.

    Args:
        code: files of the function that runs in it. Where one of them names h5py, whose library
            opens files by itself, those are seen as well.
    """
    global _watching, _is_hooked  # noqa: PLW0603 (a hook of Python's cannot be taken away)
    if not _is_hooked:
        sys.addaudithook(_hook)
        _is_hooked = True
    _watching = set()
    names_h5py = any("h5py" in Path(path).read_text(errors="replace") for path in code)
    try:
        with _noting_hdf5(_watching) if names_h5py else contextlib.nullcontext():
            yield _watching
    finally:
        _watching = None


@contextlib.contextmanager
def _noting_hdf5(opened: set[str]) -> Iterator[None]:
    import h5py  # comes with Keras

    plain = h5py.File.__init__

    @functools.wraps(plain)
    def init(self: Any, name: Any, mode: str = "r", *args: Any, **named: Any) -> None:
        if mode == "r" and isinstance(name, str | bytes | os.PathLike):
            opened.add(os.fsdecode(name))
        plain(self, name, mode, *args, **named)

    h5py.File.__init__ = init
    try:
        yield
    finally:
        h5py.File.__init__ = plain


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if _watching is None or not (event == "open" or event in _LISTS) or not args:
        return
    if event == "open" and (args[2] or 0) & (os.O_WRONLY | os.O_RDWR):
        return
    if isinstance(args[0], str | bytes):
        _watching.add(os.fsdecode(args[0]))


def stamp(paths: Iterable[str]) -> Stamps:
    """Return the stamps of those paths that are data of the user's on this disk."""
    stamps = {}
    for path in sorted({str(Path(path).absolute()) for path in paths if _may_be_path(path)}):
        with contextlib.suppress(OSError):
            if _is_data(path):
                status = Path(path).stat()
                stamps[path] = [status.st_size, status.st_mtime_ns]
    return stamps


def folders(paths: Iterable[str]) -> set[str]:
    """Return the folders of those paths that are files: what lists them sees a new one there."""
    return {str(Path(p).parent) for p in paths if _may_be_path(p) and Path(p).is_file()}


def changed(stamps: Stamps) -> str:
    """Return the first path that is not as it was; "" where all are."""
    for path, before in stamps.items():
        try:
            status = Path(path).stat()
        except OSError:
            return path
        if [status.st_size, status.st_mtime_ns] != before:
            return path
    return ""


def _may_be_path(text: str) -> bool:
    return bool(text) and "\0" not in text and len(text) < 4096


def _is_data(path: str) -> bool:
    installed = tuple(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib"))
    if path.endswith(_CODE) or path.startswith((*_NO_DATA, *installed, sys.prefix)):
        return False
    if not Path(path).is_dir():
        return Path(path).is_file()
    # Folders of code are listed by imports, and change with __pycache__.
    return path not in map(os.path.abspath, sys.path) and not Path(path, "__pycache__").exists()
