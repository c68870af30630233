"""Finds what `config.init.from` names, and reads its variables: a workdir, an export or a file."""

import contextlib
import dataclasses
import hashlib
import json
import tempfile
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from common.exit_codes import ExitCode, RunError
from trainer import checkpoint, storage
from trainer.config import InitConfig
from trainer.lineage import Parent
from trainer.ownership import named_variables
from trainer.run import chosen, workdir
from trainer.run.certificate import config_digest
from trainer.storage.failures import local_io

_FILES = (".keras", ".weights.h5")
_FIELD = "config.init.from"


@dataclasses.dataclass(frozen=True)
class Found:
    """What a run may start from.

    Attributes:
        parent: whose it is.
        state: name -> value, as in a checkpoint.
    """

    parent: Parent
    state: checkpoint.State


def find(init: InitConfig, models: Mapping[str, keras.Model]) -> Found:
    """Read what `init.from` names.

    Args:
        init: of the config.
        models: of the run that is to start; only a `.weights.h5` file is read into one of them.

    Raises:
        RunError: BAD_CONFIG where it is nothing to start from; of the storage.
    """
    source = init.from_
    if source.endswith(_FILES):
        with _brought(source) as file:
            return of_file(file, source, models)
    with workdir.opened(source) as folder:
        if folder.config() is not None:
            return _of_workdir(folder, init)
    with _brought(f"{source.rstrip('/')}/model.keras") as file:
        card = _card(f"{source.rstrip('/')}/export.json")
        found = of_file(file, source, models)
        step = int(card.get("step", -1))
        return dataclasses.replace(found, parent=dataclasses.replace(found.parent, step=step))


def _of_workdir(folder: workdir.Workdir, init: InitConfig) -> Found:
    state, meta = chosen.read(folder, init.checkpoint, "config.init.checkpoint")
    mother = meta.progress.get("parent")
    ancestors: tuple[Parent, ...] = ()
    if mother:
        nearest = Parent.from_plain(mother)
        ancestors = (dataclasses.replace(nearest, ancestors=()), *nearest.ancestors)
    digest = checkpoint.digest(state, meta.step)
    parent = Parent(init.from_, digest, meta.step, config_digest(meta.config), ancestors)
    # What was evaluated and what is exported are the averages, where there are any.
    return Found(parent, state if init.what == "all" else checkpoint.evaluated(state))


def of_file(file: Path, source: str, models: Mapping[str, keras.Model]) -> Found:
    """Return what a file of Keras holds; one with code in it is refused."""
    with local_io(file, _FIELD):
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
    try:
        if file.name.endswith(".keras"):
            model = keras.saving.load_model(file, compile=False, safe_mode=True)
            state = {n: np.asarray(v.numpy()) for n, v in named_variables("main", model)}
        else:
            state = _read_into(models["main"], file)
    except (ValueError, TypeError, OSError, KeyError, ImportError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())[:300]
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"{_FIELD}={source!r} cannot be read: {reason}; a .keras file needs its classes, and a "
            ".weights.h5 file the same model; a workdir needs neither",
        ) from error
    return Found(Parent(source, digest), state)


def _read_into(model: keras.Model, file: Path) -> dict[str, np.ndarray]:
    """Return what a file of weights makes of the model, which is left as it was."""
    before = [(v, v.numpy()) for v in model.variables]
    try:
        with warnings.catch_warnings(
            action="ignore"
        ):  # of what it does not find: it raises as well
            model.load_weights(file)
        return {n: np.asarray(v.numpy()) for n, v in named_variables("main", model)}
    finally:
        for variable, value in before:
            variable.assign(value)


@contextlib.contextmanager
def _brought(source: str) -> Iterator[Path]:
    """Have a file here.

    Raises:
        RunError: BAD_CONFIG where there is none.
    """
    with tempfile.TemporaryDirectory(prefix="lockstep-") as copies:
        path = Path(source)
        if storage.is_remote(source):
            path = Path(copies) / source.rpartition("/")[2]
            with contextlib.suppress(storage.MissingError):
                storage.download(source, path)
        if not path.is_file():
            raise RunError(
                ExitCode.BAD_CONFIG,
                f"{_FIELD}={source.removesuffix('/model.keras')!r} is neither a workdir with a "
                "config.json, an export with a model.keras, nor a .keras or .weights.h5 file",
            )
        yield path


def _card(source: str) -> dict[str, Any]:
    """Return what an export says of itself; nothing where it has lost that."""
    with contextlib.suppress(OSError, ValueError, RunError, storage.MissingError):
        if storage.is_remote(source):
            return dict(json.loads(storage.read_bytes(source)))
        return dict(json.loads(Path(source).read_text()))
    return {}
