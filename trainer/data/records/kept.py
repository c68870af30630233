"""Examples that can only be read from first to last, kept as records: then any can be read.

    kept/KEY/NUMBER/  train-00000.tfrecord, ..., made.json (written last: the others are whole)

A folder is locked as long as a process writes or reads it, and goes when it is neither valid nor
locked.
"""

import contextlib
import dataclasses
import fcntl
import json
import os
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from common import files
from trainer.data.info import Feature, Shard
from trainer.storage.failures import local_io

_MANIFEST = "made.json"
_FLAG = "--stage_dir"
_held: dict[Path, contextlib.ExitStack] = {}


@dataclasses.dataclass(frozen=True)
class Kept:
    """The examples of a split, as they were written.

    Attributes:
        shards: TFRecord files, in order.
        features: of a record.
        notes: what the writer has to remember.
    """

    shards: tuple[Shard, ...]
    features: Mapping[str, Feature]
    notes: Mapping[str, Any]


def find(folder: Path, unlike: Callable[[Mapping[str, Any]], str]) -> tuple[Kept | None, list[str]]:
    """Return what is kept in a folder and fits, which is then held, and why others do not fit.

    Args:
        folder: of all versions of one split.
        unlike: of the notes of a version, returns why it does not fit; "": it does.
    """
    reasons = []
    for place in sorted(folder.glob("*/")):
        with contextlib.suppress(OSError, ValueError, KeyError), contextlib.ExitStack() as closing:
            lock = _lock(place, fcntl.LOCK_SH)
            closing.callback(os.close, lock)
            manifest = dict(json.loads((place / _MANIFEST).read_text()))
            if not (reason := unlike(manifest["notes"])):
                if place not in _held:
                    _held[place] = closing.pop_all()
                return _kept(place, manifest), []
            reasons.append(reason)
    return None, reasons


def hold(place: Path) -> Kept:
    """Return what has just been committed to a folder; it is then held."""
    with contextlib.ExitStack() as closing:
        closing.callback(os.close, _lock(place, fcntl.LOCK_SH))
        _held[place] = closing.pop_all()
    return _kept(place, json.loads((place / _MANIFEST).read_text()))


@contextlib.contextmanager
def alone(folder: Path, what: str) -> Iterator[None]:
    """Be the only process of this host that writes to a folder; wait for another one.

    Args:
        folder: of all versions of one split; it is made.
        what: is written, for people who wait.
    """
    with local_io(folder, _FLAG):
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting for another process that writes {what}", file=sys.stderr, flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


@contextlib.contextmanager
def new(folder: Path) -> Iterator[Path]:
    """Give a new folder to write to, inside `alone`; what a kill or an error leaves is swept."""
    _sweep(folder)
    place = folder / secrets.token_hex(4)
    with local_io(place, _FLAG):
        place.mkdir()
        lock = _lock(place, fcntl.LOCK_EX)
    try:
        yield place
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise
    finally:
        os.close(lock)


def commit(
    place: Path,
    shards: tuple[Shard, ...],
    features: Mapping[str, Feature],
    notes: Mapping[str, Any],
) -> None:
    """Declare a folder whole: from now on `find` takes it.

    Args:
        place: that `new` gave; its files are on the disk.
        shards: that are in it.
        features: of their records.
        notes: see `Kept`; plain values.
    """
    manifest = {
        "shards": [[Path(shard.url).name, shard.num_examples] for shard in shards],
        "features": {name: dataclasses.asdict(feature) for name, feature in features.items()},
        "notes": notes,
    }
    with local_io(place, _FLAG):
        files.write_text(place / _MANIFEST, json.dumps(manifest), durable=True)


def _kept(place: Path, manifest: Mapping[str, Any]) -> Kept:
    features = {
        name: Feature(**{**fields, "shape": tuple(fields["shape"])})
        for name, fields in manifest["features"].items()
    }
    shards = tuple(Shard(str(place / name), count) for name, count in manifest["shards"])
    return Kept(shards, features, manifest["notes"])


def _lock(place: Path, kind: int) -> int:
    """Return the lock of a folder; raises OSError where another process has one that excludes."""
    lock = os.open(place / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise
    return lock


def _sweep(folder: Path) -> None:
    """Remove every version that no process reads: it is of another origin, or a part of one."""
    for place in folder.glob("*/"):
        if place in _held:  # of this process, which is about to have another version
            _held.pop(place).close()
        with contextlib.suppress(OSError):
            lock = _lock(place, fcntl.LOCK_EX)
            shutil.rmtree(place, ignore_errors=True)
            os.close(lock)
