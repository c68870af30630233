"""The digest of a state: it is what its formula says, and everything in the state changes it."""

import hashlib

import numpy as np
import pytest

from trainer.checkpoint import digest

STATE = {
    "main/000/kernel": np.arange(6, dtype=np.float32).reshape(2, 3),
    "optimizer/main/000/iteration": np.int64(3),
    "average/main/000": np.zeros(2, np.float32),
}
STEP = 12


def test_it_is_the_hash_of_names_kinds_bytes_and_step() -> None:
    hashed = hashlib.sha256()
    for name, value in STATE.items():
        shape = ", ".join(map(str, value.shape)) + ("," if value.ndim == 1 else "")
        hashed.update(f"{name} {value.dtype} ({shape})\n".encode() + value.tobytes())
    hashed.update(b"step 12")
    assert digest(STATE, STEP) == hashed.hexdigest()


def _with(name: str, value: np.ndarray) -> dict[str, np.ndarray]:
    return {**STATE, name: value}


def _flipped(name: str) -> np.ndarray:
    """Return a value with one bit of its last byte changed."""
    raw = bytearray(np.asarray(STATE[name]).tobytes())
    raw[-1] ^= 1
    return np.frombuffer(bytes(raw), STATE[name].dtype).reshape(STATE[name].shape)


CHANGED = {name: _with(name, _flipped(name)) for name in STATE}
CHANGED["a shape"] = _with("main/000/kernel", STATE["main/000/kernel"].reshape(3, 2))
CHANGED["a dtype"] = _with("average/main/000", np.zeros(2, np.int32))
CHANGED["an order"] = dict(reversed(STATE.items()))
CHANGED["a name"] = {f"{name}_": value for name, value in STATE.items()}
CHANGED["one less"] = dict(list(STATE.items())[:-1])


@pytest.mark.parametrize("what", CHANGED)
def test_whatever_changes_changes_it(what: str) -> None:
    assert digest(CHANGED[what], STEP) != digest(STATE, STEP)


def test_the_step_is_part_of_it() -> None:
    assert digest(STATE, STEP + 1) != digest(STATE, STEP)


def test_how_a_value_lies_in_memory_is_not() -> None:
    columns = np.asfortranarray(STATE["main/000/kernel"])
    assert digest(_with("main/000/kernel", columns), STEP) == digest(STATE, STEP)
