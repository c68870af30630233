"""The certificate of a run: digests of all that its result depends on, and of the result."""

import hashlib
from collections.abc import Mapping
from typing import Any

from trainer import version
from trainer.config import TrainConfig, essential_difference
from trainer.config.conversion import to_plain
from trainer.lineage import Parent

_VERSIONS = ("lockstep", "python", "tensorflow", "keras", "numpy")


def certificate(
    config: TrainConfig, code: Mapping[str, Any], data: str, parent: Parent | None, state: str
) -> dict[str, Any]:
    """Return "config", "code", "data", "parent" and "state" as digests, "versions" and "kernels".

    Args:
        config: of the run.
        code: as `lineage.summarized` tells it.
        data: fingerprint of the data.
        parent: what the run was started from; None: its seed.
        state: digest of the last step.
    """
    installed = version.environment()
    return {
        "config": config_digest(to_plain(config)),
        "code": code["digest"],
        "data": data,
        "parent": parent and parent.digest,
        "versions": {name: installed[name] for name in _VERSIONS},
        "kernels": version.kernels(),
        "state": state,
    }


def config_digest(plain: Mapping[str, Any]) -> str:
    """Return SHA-256 of the fields that differ from their defaults and change what is computed.

    Fields that a later version adds, and fields that only affect logging, checkpoints or length,
    do not change it.
    """
    told = "\n".join(essential_difference({}, plain))
    return hashlib.sha256(told.encode()).hexdigest()
