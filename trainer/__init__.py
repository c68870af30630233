"""Lockstep's trainer: a custom training loop whose result depends on its config alone."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from common.exit_codes import RunError
    from trainer.api import train
    from trainer.config import (
        DatasetConfig,
        OptimizerConfig,
        PartConfig,
        PlateauConfig,
        TrainConfig,
    )

__all__ = [
    "DatasetConfig",
    "OptimizerConfig",
    "PartConfig",
    "PlateauConfig",
    "RunError",
    "TrainConfig",
    "train",
]
_HOMES = {"train": "trainer.api", "RunError": "common.exit_codes"}


def __getattr__(name: str) -> Any:
    # Looked up when asked for: the launcher imports this package for its exit codes alone.
    if name not in __all__:
        raise AttributeError(f"module 'trainer' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES.get(name, "trainer.config")), name)
