"""Phase two of fine-tuning: the MobileNet that knows strokes learns the digits.

The base is taken from the run of `fine_tuning_base.py`; the head, for ten classes in place of four,
is new (`init.exclude`). A group of the optimizer trains the base at a lower rate. From then on the
parent is not read again, and its digest is in the summary of the child.

Source: Howard and Ruder, Universal Language Model Fine-tuning, ACL 2018, for the lower rate.
Command: python -m trainer --config=examples/fine_tuning.py --workdir=runs/fine_tuning
Result: accuracy >= 0.75; 0.8108 after 188 steps
"""

import dataclasses

import fine_tuning_base

from trainer import (
    DatasetConfig,
    GroupConfig,
    InitConfig,
    ModelConfig,
    OptimizerConfig,
    PartConfig,
    TrainConfig,
)


def get_config() -> TrainConfig:
    """Return the experiment."""
    return dataclasses.replace(
        fine_tuning_base.get_config(),
        epochs=8,
        dataset=DatasetConfig("digits"),
        model=ModelConfig("fine_tuning_base:mobile_net"),
        optimizer=OptimizerConfig(
            "adam",
            learning_rate=1e-2,
            schedule=PartConfig("cosine"),
            groups=(GroupConfig(("conv*",), learning_rate=2e-3),),
        ),
        init=InitConfig("runs/fine_tuning_base", exclude=("head",)),
    )
