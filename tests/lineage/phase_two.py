"""Fine-tuning, second phase: the whole model, the base at a tenth of the rate."""

import dataclasses

import phase_one

from trainer import GroupConfig, InitConfig, OptimizerConfig, PartConfig


def get_config():
    groups = (GroupConfig(("conv*",), learning_rate=1e-5), GroupConfig(("head",), weight_decay=0.0))
    return dataclasses.replace(
        phase_one.get_config(),
        model=PartConfig("phase_one:build", {"trains_base": True}),
        optimizer=OptimizerConfig("adamw", 1e-4, groups=groups),
        init=InitConfig("runs/one"),
    )
