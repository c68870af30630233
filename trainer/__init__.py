"""Lockstep's trainer: a custom training loop whose result depends on its config alone."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from common.exit_codes import RunError
    from trainer.api import train
    from trainer.config import (
        DatasetConfig,
        GroupConfig,
        InitConfig,
        ModelConfig,
        OptimizerConfig,
        PartConfig,
        PlateauConfig,
        StopConfig,
        TrainConfig,
    )
    from trainer.data.info import Feature
    from trainer.run.hook import EvaluationReport
    from trainer.run.opened import Run, open_run
    from trainer.task import Microbatch, Parts, Replica, Task

__all__ = [
    "DatasetConfig",
    "EvaluationReport",
    "Feature",
    "GroupConfig",
    "InitConfig",
    "Microbatch",
    "ModelConfig",
    "OptimizerConfig",
    "PartConfig",
    "Parts",
    "PlateauConfig",
    "Replica",
    "Run",
    "RunError",
    "StopConfig",
    "Task",
    "TrainConfig",
    "open_run",
    "train",
]
_HOMES = {
    "EvaluationReport": "trainer.run.hook",
    "Feature": "trainer.data.info",
    "Microbatch": "trainer.task",
    "Parts": "trainer.task",
    "Replica": "trainer.task",
    "Run": "trainer.run.opened",
    "RunError": "common.exit_codes",
    "Task": "trainer.task",
    "open_run": "trainer.run.opened",
    "train": "trainer.api",
}


def __getattr__(name: str) -> Any:
    # Looked up when asked for: the launcher imports this package for its exit codes alone.
    if name not in __all__:
        raise AttributeError(f"module 'trainer' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES.get(name, "trainer.config")), name)
