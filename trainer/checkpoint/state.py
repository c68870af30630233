"""What a checkpoint holds: the variables by name, whether they fit, their digest; and the rest."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from common.exit_codes import ExitCode, RunError

State = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Meta:
    """What a checkpoint says beside the variables; `meta.json`.

    A field that an older checkpoint lacks has its default, so that it is compared, not guessed.

    Attributes:
        step: updates that are in the state.
        config: of the run, as `conversion.to_plain` makes it.
        data: fingerprint of the data.
        files: name -> content of the files of data.
        progress: host state of the run, as `RunState.to_plain` makes it.
        code: file -> digest, of the sources that had been loaded; see `lineage.Code`.
        kernels: what chose them; see `version.kernels`.
        seconds: since the run first began. Two saves of one state differ in nothing but the last
            three: a module may be loaded late.
    """

    step: int
    config: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    data: str = ""
    progress: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    code: Mapping[str, str] = dataclasses.field(default_factory=dict, compare=False)
    kernels: Mapping[str, str] = dataclasses.field(default_factory=dict, compare=False)
    seconds: float = dataclasses.field(default=0.0, compare=False)
    files: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def to_json(self) -> str:
        """Return the text of `meta.json`; floats keep every bit."""
        return json.dumps(dataclasses.asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> "Meta":
        """Undo `to_json`.

        Raises:
            ValueError: the text is no JSON.
            TypeError: it is not the fields of a meta.
        """
        return cls(**json.loads(text))


def match(state: State, expected: Mapping[str, Any], where: str) -> None:
    """Refuse a state that is not the model's: every name, shape and dtype must agree.

    Args:
        state: as read.
        expected: name -> variable, or array, of the model.
        where: the checkpoint, for the message.

    Raises:
        RunError: BAD_CONFIG naming the first key that differs.
    """
    for name in (*expected, *state):
        if name not in state:
            problem = "is not in the checkpoint"
        elif name not in expected:
            problem = "is in the checkpoint and not in the model"
        elif (found := form(state[name])) != (here := form(expected[name])):
            problem = f"is {found} there and {here} here"
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


def evaluated(state: State) -> dict[str, np.ndarray]:
    """Return a state with the averages of the weights in their place, where there are any."""
    start = "average/"
    averages = {n.removeprefix(start): v for n, v in state.items() if n.startswith(start)}
    return {name: averages.get(name, value) for name, value in state.items()}


def form(value: Any) -> str:
    """Return dtype and shape of a variable or array: "float32[3, 4]"."""
    return f"{value.dtype}{list(value.shape)}"
