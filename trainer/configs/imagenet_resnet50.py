"""ResNet-50 on ImageNet: a known recipe for 8 accelerators, or any divisor.

Source: Goyal et al., Accurate, Large Minibatch SGD, 2017, with a cosine schedule.
Command: python -m trainer --config=imagenet_resnet50 --workdir=gs://BUCKET/imagenet
Time: not measured.
Result: not measured; never run by this project. Images are resized to one shape before the
    crop, so the paper's accuracy is not to be expected.
"""

from trainer.config import DatasetConfig, ModelConfig, OptimizerConfig, PartConfig, TrainConfig


def get_config() -> TrainConfig:
    """Return the experiment."""
    return TrainConfig(
        epochs=90,
        global_batch_size=1024,
        virtual_replicas=8,
        precision="bfloat16",
        dataset=DatasetConfig(
            "tfds:imagenet2012",
            eval_split="validation",
            serve="stream",
            args={"image_size": [224, 224]},
        ),
        augment=(PartConfig("random_resized_crop"), PartConfig("flip")),
        model=ModelConfig("resnet50"),
        metrics=(PartConfig("accuracy"), PartConfig("top_k", {"k": 5})),
        regularizer=PartConfig("l2", {"factor": 5e-5}),
        optimizer=OptimizerConfig(
            "nesterov",
            learning_rate=0.4,
            schedule=PartConfig("cosine"),
            warmup_steps=6255,
        ),
    )
