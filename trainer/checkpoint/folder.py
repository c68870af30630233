"""One checkpoint: a folder that is committed by a marker written last.

step_000001500/state.npz     every variable of the task, by name
               meta.json     step, config, data fingerprint, progress: `state.Meta`
               COMMIT        size and SHA-256 of both
"""

import hashlib
import io
import json
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from trainer import failpoints
from trainer.checkpoint.state import Meta, State

PREFIX = "step_"
PARTIAL = ".partial_"
MARKER = "COMMIT"
_FILES = ("state.npz", "meta.json")


def name_of(step: int) -> str:
    """Return the folder name of a step."""
    return f"{PREFIX}{step:09d}"


def step_of(name: str) -> int:
    """Return the step of a folder name; -1 for a name that is none, such as a user's own copy."""
    digits = name.removeprefix(PREFIX)
    return int(digits) if digits.isdecimal() else -1


def write(folder: Path, state: State, meta: Meta) -> Path:
    """Write a checkpoint into `folder`; it appears whole and on disk, or not at all.

    Raises:
        OSError: the disk refuses; nothing is visible then.
    """
    name = name_of(meta.step)
    final, partial = folder / name, folder / f"{PARTIAL}{name}"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        _fill(partial, state, meta)
        failpoints.reach("checkpoint.before_rename")
        earlier = _set_aside(final)
        partial.rename(final)
        shutil.rmtree(earlier, ignore_errors=True)
    except OSError:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    _sync(folder)
    failpoints.reach("checkpoint.after_rename")
    return final


def read(path: Path) -> tuple[dict[str, np.ndarray], Meta]:
    """Return state and meta of a checkpoint; nothing in it is executed."""
    with np.load(path / "state.npz", allow_pickle=False) as arrays:
        state = {_unescape(name): arrays[name] for name in arrays.files}
    return state, read_meta(path)


def read_meta(path: Path) -> Meta:
    """Return the meta of a checkpoint; its state, which may be large, is not read."""
    return Meta.from_json((path / "meta.json").read_text())


def damage(path: Path) -> str | None:
    """Return what is wrong with a checkpoint, or None."""
    try:
        marker = json.loads((path / MARKER).read_text())
        for name in _FILES:
            if _identity(path / name) != marker[name]:
                return f"{name} is not what was committed"
        if name_of(read_meta(path).step) != path.name:
            return "meta.json is of another step"
        with np.load(path / "state.npz", allow_pickle=False) as arrays:
            for name in arrays.files:
                arrays[name]
    except FileNotFoundError as error:
        return f"{Path(str(error.filename)).name} is missing"
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        return f"{type(error).__name__}: {error}"
    return None


def remove(path: Path) -> None:
    """Delete a checkpoint; one that is half deleted is never taken for whole."""
    shutil.rmtree(_set_aside(path), ignore_errors=True)


def _set_aside(path: Path) -> Path:
    """Rename a checkpoint, where there is one, to a name that is swept; return that name."""
    doomed = path.with_name(f"{PARTIAL}{path.name}_removed")
    shutil.rmtree(doomed, ignore_errors=True)
    if path.exists():
        path.rename(doomed)
    return doomed


class _HashingFile(io.RawIOBase):
    """Hashes what was meant to be written, so that a marker never vouches for what a disk made."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._hash = hashlib.sha256()
        self._size = 0

    def write(self, data: Any) -> int:
        failpoints.reach("checkpoint.write")
        self._hash.update(data)
        self._size += self._file.write(data)
        return memoryview(data).nbytes

    def finish(self) -> dict[str, Any]:
        """Put all on disk; return size and checksum."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return {"size": self._size, "sha256": self._hash.hexdigest()}

    def close(self) -> None:
        self._file.close()
        super().close()


def _fill(partial: Path, state: State, meta: Meta) -> None:
    partial.mkdir(parents=True)
    marker = {}
    with _HashingFile(partial / "state.npz") as file:
        np.savez(file, allow_pickle=False, **{_escape(n): v for n, v in state.items()})
        marker["state.npz"] = file.finish()
    with _HashingFile(partial / "meta.json") as file:
        file.write(meta.to_json().encode())
        marker["meta.json"] = file.finish()
    failpoints.reach("checkpoint.before_commit")
    with _HashingFile(partial / MARKER) as file:
        file.write(json.dumps(marker).encode())
        file.finish()
    _sync(partial)


def _identity(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        checksum = hashlib.file_digest(file, "sha256").hexdigest()
    return {"size": path.stat().st_size, "sha256": checksum}


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _escape(name: str) -> str:
    # A zip member must not name a folder: "/" is the only character Keras paths use for one.
    return name.replace("%", "%25").replace("/", "%2F")


def _unescape(name: str) -> str:
    return name.replace("%2F", "/").replace("%25", "%")
