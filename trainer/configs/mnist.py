"""The classic program: a small CNN on MNIST, the last 18,000 training images held out.

Source: LeCun et al., The MNIST Database, through `tfds:mnist`, prepared once beforehand.
Command: python -m trainer --config=mnist --workdir=runs/mnist
Time: not measured.
Result: not measured by this project, which ships no MNIST.
"""

from trainer.config import DatasetConfig, ModelConfig, OptimizerConfig, TrainConfig


def get_config() -> TrainConfig:
    """Return the experiment."""
    return TrainConfig(
        epochs=15,
        global_batch_size=32,
        virtual_replicas=4,
        dataset=DatasetConfig("tfds:mnist", holdout=18_000),
        model=ModelConfig("cnn", {"padding": "valid"}),
        optimizer=OptimizerConfig("adam", learning_rate=1e-3),
    )
