"""Digits told apart without their labels: a loss over the whole batch, and a linear probe.

Source: Chen et al., A Simple Framework for Contrastive Learning of Visual Representations, 2020.
Command: python -m trainer --config=digits_simclr --workdir=runs/simclr
Time: 22 s of CPU on 2 shared cores (Intel Xeon), 352 steps, 2026-11-27.
Result: held-out accuracy 0.8750 of the linear probe, its loss 0.4849, state 5c3a2e0fa0ca2799.
"""

from trainer.config import ModelConfig, OptimizerConfig, PartConfig, TrainConfig

RATE = OptimizerConfig("adam", learning_rate=2e-3, schedule=PartConfig("cosine"))


def get_config() -> TrainConfig:
    """Return the experiment."""
    return TrainConfig(
        epochs=30,
        global_batch_size=128,
        virtual_replicas=4,
        task=PartConfig("simclr", {"temperature": 0.2}),
        model=ModelConfig("cnn"),
        models={
            "projector": ModelConfig("mlp", {"hidden": [64]}),
            "probe": ModelConfig("mlp", {"hidden": []}),
        },
        optimizer=RATE,
        optimizers={"projector": RATE, "probe": OptimizerConfig("adam", learning_rate=1e-2)},
    )
