"""Trains every registered part of a kind for three steps; prints {part: digest} as JSON.

A process of its own: `python -m tests.conformance.battery KIND REPLICAS PRECISION EXECUTION`.
"""

import dataclasses
import json
import sys

import keras
import numpy as np
import tensorflow as tf

from tests.engine.resident_loop import resident_loop
from trainer import build, registry
from trainer.checkpoint import digest
from trainer.cluster import strategy
from trainer.cluster.placement import Placement
from trainer.config import OptimizerConfig, PartConfig, TrainConfig
from trainer.data.info import Feature
from trainer.engine import gpu_kernels
from trainer.engine.step import make_train_step
from trainer.engine.step_sums import zero_sums

STEPS, BATCH, V = 3, 8, 4
CLASSES = 10
IMAGE = Feature((8, 8, 1), "float32")
LABEL = Feature((), "int64", num_classes=CLASSES)
ONE_HOT = Feature((CLASSES,), "float32")
TOKENS = Feature((7,), "int64")
DENSE_LABELS = {"categorical_crossentropy", "kl_divergence", "binary_crossentropy"}
DENSE_LABELS |= {"mse", "mae", "huber"}
SMALL = {
    "mlp": {"hidden": [16]},
    "resnet": {"depth": 8},
    "generator": {"image_shape": [8, 8, 1]},
}
RATE = OptimizerConfig("sgd", learning_rate=0.01, clip_norm=1.0)
PLAIN = TrainConfig(
    train_steps=STEPS,
    global_batch_size=BATCH,
    virtual_replicas=V,
    model=PartConfig("mlp", {}),
    metrics=(),
    optimizer=RATE,
)
GAN = dataclasses.replace(
    PLAIN,
    task=PartConfig("gan"),
    model=PartConfig("generator", SMALL["generator"]),
    models={"discriminator": PartConfig("discriminator")},
    optimizers={"discriminator": RATE},
)
TASKS = {
    "supervised": PLAIN,
    "gan": GAN,
    "wgan_gp": dataclasses.replace(GAN, task=PartConfig("wgan_gp", {"critic_updates": 2})),
    "sharpness_aware": dataclasses.replace(PLAIN, task=PartConfig("sharpness_aware")),
    "distillation": dataclasses.replace(
        PLAIN,
        task=PartConfig("distillation"),
        models={"teacher": PartConfig("mlp", {"hidden": [16]})},
        optimizers={"teacher": RATE},
    ),
    "simclr": dataclasses.replace(
        PLAIN,
        task=PartConfig("simclr", {"width": 16, "projection": 8}),
        models={name: PartConfig("mlp", {"hidden": []}) for name in ("projector", "probe")},
        optimizers={"projector": RATE, "probe": RATE},
    ),
    "language_model": dataclasses.replace(
        PLAIN,
        task=PartConfig("language_model", {"vocabulary": CLASSES}),
        model=PartConfig("transformer", {"width": 8, "depth": 1, "heads": 2}),
    ),
}


def configs(kind):
    """Return part -> the smallest config that uses it."""
    if kind == "models":
        names = set(registry.MODELS) - {"generator", "discriminator", "resnet50", "transformer"}
        return {n: model(n) for n in sorted(names)}
    if kind == "losses":
        return {n: dataclasses.replace(PLAIN, loss=PartConfig(n)) for n in registry.LOSSES}
    if kind == "optimizers":
        return {n: optimizer(n) for n in registry.OPTIMIZERS}
    assert set(TASKS) == set(registry.TASKS), "a task has no example here"
    return TASKS


def model(name):
    return dataclasses.replace(PLAIN, model=PartConfig(name, SMALL.get(name, {})))


def optimizer(name):
    scheduled = OptimizerConfig(name, learning_rate=0.01, schedule=PartConfig("cosine"))
    return dataclasses.replace(PLAIN, optimizer=scheduled)


def examples(dense):
    rng = np.random.default_rng(2)
    labels = rng.integers(0, CLASSES, BATCH * STEPS)
    images = rng.uniform(size=(BATCH * STEPS, 8, 8, 1)).astype(np.float32)
    return {
        "image": images,
        "label": np.eye(CLASSES, dtype=np.float32)[labels] if dense else labels,
        "tokens": rng.integers(0, CLASSES, (BATCH * STEPS, *TOKENS.shape)),
    }


def train(config, distribution):
    """Return the digest after STEPS steps, saved, overwritten and restored on the way."""
    dense = config.loss.name in DENSE_LABELS
    features = {"image": IMAGE, "label": ONE_HOT if dense else LABEL, "tokens": TOKENS}
    keras.backend.clear_session()
    with distribution.scope():
        scale = keras.Variable(1.0, trainable=False)
        task = build.build_task(config, features, total_steps=STEPS, rate_scale=scale)

    step_fn = make_train_step(task, build.step_plan(config))
    if config.execution == "graph":  # every part could be trained on a GPU in one order
        step_fn = gpu_kernels.checked(step_fn)
    run = resident_loop(
        distribution,
        step_fn,
        examples(dense),
        zero_sums(task, training=True),
        batch=BATCH,
        virtual_replicas=V,
        compiled=config.execution == "xla_loop",
    )
    run(0, 1)
    saved = {name: v.numpy() for name, v in task.state().items()}
    run(1, 1)
    for name, variable in task.state().items():
        variable.assign(saved[name])
    run(1, STEPS - 1)
    state = {name: v.numpy() for name, v in task.state().items()}
    moved = [n for n in state if "optimizer" not in n and not np.array_equal(state[n], saved[n])]
    assert moved, "training changed nothing"
    assert all(np.isfinite(v).all() for v in state.values()), "a number is not finite"
    return digest(state, STEPS)


def main(kind, replicas, precision, execution):
    strategy.configure_runtime(TrainConfig(epochs=1, execution=execution))
    distribution = strategy.create(Placement("cpu", replicas))
    digests = {}
    for name, config in configs(kind).items():
        chosen = dataclasses.replace(config, precision=precision, execution=execution)
        digests[name] = train(chosen, distribution)
    print(json.dumps(digests))


if __name__ == "__main__":
    tf.get_logger().setLevel("ERROR")
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4])
