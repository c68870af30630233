"""Small checkpoints for the tests of this folder."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from trainer.checkpoint import Meta


def state(step: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(step)
    return {
        "main/000/dense/kernel": rng.normal(size=(64, 10)).astype(np.float32),
        "main/001/dense/bias": rng.normal(size=10).astype(np.float32),
        "optimizer/main/000/iteration": np.asarray(step, np.int64),
    }


def meta(step: int) -> Meta:
    return Meta(step, data="fingerprint")


def changed_by_the_disk(write: Callable[..., Path]) -> Callable[..., Path]:
    """Return `checkpoint.folder.write` on a disk that alters a bit of what it was given."""

    def changing(*args: object) -> Path:
        path = write(*args)
        data = bytearray((path / "state.npz").read_bytes())
        data[200] ^= 1
        (path / "state.npz").write_bytes(bytes(data))
        return path

    return changing
