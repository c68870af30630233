"""The typed config of a run: its fields, and how it is read from files and flags."""

from trainer.config.fields import (
    DatasetConfig,
    GroupConfig,
    InitConfig,
    ModelConfig,
    OptimizerConfig,
    PartConfig,
    PlateauConfig,
    StopConfig,
    TrainConfig,
    essential_difference,
)

__all__ = [
    "DatasetConfig",
    "GroupConfig",
    "InitConfig",
    "ModelConfig",
    "OptimizerConfig",
    "PartConfig",
    "PlateauConfig",
    "StopConfig",
    "TrainConfig",
    "essential_difference",
]
