"""The typed config of a run: its fields, and how it is read from files and flags."""

from trainer.config.fields import (
    DatasetConfig,
    OptimizerConfig,
    PartConfig,
    PlateauConfig,
    TrainConfig,
    essential_difference,
)

__all__ = [
    "DatasetConfig",
    "OptimizerConfig",
    "PartConfig",
    "PlateauConfig",
    "TrainConfig",
    "essential_difference",
]
