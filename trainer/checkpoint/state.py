"""The state of a run by name: whether it fits the model, and its digest."""

import hashlib
from collections.abc import Mapping

import numpy as np

from common.exit_codes import ExitCode, RunError

State = Mapping[str, np.ndarray]
Expected = Mapping[str, tuple[tuple[int, ...], str]]


def match(state: State, expected: Expected, where: str) -> None:
    """Refuse a state that is not the model's: every name, shape and dtype must agree.

    Args:
        state: as read.
        expected: name -> (shape, dtype).
        where: the checkpoint, for the message.

    Raises:
        RunError: BAD_CONFIG naming the first key that differs.
    """
    for name in (*expected, *state):
        if name not in state:
            problem = "is not in the checkpoint"
        elif name not in expected:
            problem = "is in the checkpoint and not in the model"
        elif (found := (state[name].shape, str(state[name].dtype))) != expected[name]:
            problem = f"is {_describe(found)} there and {_describe(expected[name])} here"
        else:
            continue
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"{where} does not match the model: {name} {problem}; train with the config that "
            "wrote it, or with another --workdir",
        )


def digest(state: State, step: int) -> str:
    """Return SHA-256 over every variable in the task's order, and the step."""
    hashed = hashlib.sha256()
    for name, value in state.items():
        hashed.update(f"{name} {value.dtype} {value.shape}\n".encode())
        hashed.update(np.ascontiguousarray(value).tobytes())
    hashed.update(f"step {step}".encode())
    return hashed.hexdigest()


def _describe(kind: tuple[tuple[int, ...], str]) -> str:
    return f"{kind[1]}{list(kind[0])}"
