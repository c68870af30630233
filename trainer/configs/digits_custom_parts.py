"""The classic classifier with a custom optimizer, loss and regularizer.

Source: the parts are `trainer/optimizers/midpoint.py`, `trainer/losses/focal.py` and
`trainer/regularizers/l2.py`; docs/guide/custom_parts.md goes through them line by line.
Command: python -m trainer --config=digits_custom_parts --workdir=runs/custom_parts
Time: 28 s of CPU on 2 shared cores (AMD EPYC, AVX-512), 2026-11-25.
Result: held-out accuracy 0.9899 after 1,408 steps (293 of 296 images), focal loss 0.0129, state
3a6898e84460707b.
"""

from trainer.config import ModelConfig, OptimizerConfig, PartConfig, TrainConfig


def get_config() -> TrainConfig:
    """Return the experiment."""
    return TrainConfig(
        epochs=30,
        global_batch_size=32,
        virtual_replicas=4,
        model=ModelConfig("cnn", {"batch_norm": True, "dropout": 0.3}),
        loss=PartConfig("focal", {"gamma": 1.0}),
        regularizer=PartConfig("l2", {"factor": 1e-4}),
        optimizer=OptimizerConfig(
            "midpoint", learning_rate=0.05, clip_norm=1.0, schedule=PartConfig("cosine")
        ),
    )
