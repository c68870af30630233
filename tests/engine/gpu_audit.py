"""Traces steps as a GPU would get them, on the CPU; prints {what: operations without a kernel}.

A process of its own: `python -m tests.engine.gpu_audit planted|shipped`. Op determinism is on,
since it changes what TensorFlow's Python code puts into a graph.
"""

import dataclasses
import json
import sys

import keras
import tensorflow as tf

from trainer import build, registry
from trainer.config import PartConfig, experiment_file
from trainer.data import sources
from trainer.data.augment import preprocess
from trainer.data.info import Feature
from trainer.engine import gpu_kernels
from trainer.engine.forward_step import make_eval_step
from trainer.engine.step import Microbatches, make_train_step

SHAPE = [1, 2]
NOT_HERE = {"mnist": (28, 28, 1), "imagenet_resnet50": (224, 224, 3)}
IMAGES = tf.reshape(tf.range(96.0), [1, 8, 4, 3])
LOGITS, CLASSES = tf.ones([2, 3]), tf.constant([0, 1])
BOXES = (tf.constant([[0.0, 0.0, 1.0, 1.0]]), [0])
STATISTICS = [tf.ones([3])] * 4
RANGE = (tf.constant(0.0), tf.constant(1.0))


def slope(function, *values):
    """Return the gradient of a function in its inputs, as a function without arguments."""

    def gradient():
        with tf.GradientTape() as tape:
            tape.watch(values)
            result = function(*values)
        return tape.gradient(result, values)

    return gradient


def batch_norm(is_training):
    return lambda x: tf.compat.v1.nn.fused_batch_norm(x, *STATISTICS, is_training=is_training)[0]


def on_cpu():
    with tf.device("CPU:0"):
        return tf.math.bincount(CLASSES)


def dilated(x, kernel):
    return tf.nn.dilation2d(x, kernel, [1] * 4, "SAME", "NHWC", [1] * 4)


def crop(x, boxes):
    return tf.image.crop_and_resize(x, boxes, BOXES[1], [4, 4])


PLANTED = {
    "bincount": lambda: tf.math.bincount(CLASSES),
    "contrast": lambda: tf.image.adjust_contrast(IMAGES, 0.5),
    "nearest": slope(lambda x: tf.image.resize(x, [16, 8], "nearest"), IMAGES),
    "crop": slope(crop, IMAGES, BOXES[0]),
    "dilation": slope(dilated, IMAGES, tf.ones([2, 2, 3])),
    "argmax": slope(lambda x: tf.nn.max_pool_with_argmax(x, 2, 2, "SAME")[0], IMAGES),
    "quantised": slope(tf.quantization.fake_quant_with_min_max_vars, LOGITS, *RANGE),
    "sparse": lambda: tf.sparse.sparse_dense_matmul(tf.sparse.from_dense(LOGITS), tf.ones([3, 1])),
    "frozen": slope(batch_norm(is_training=False), IMAGES),
    "raw": lambda: tf.raw_ops.SparseSoftmaxCrossEntropyWithLogits(features=LOGITS, labels=CLASSES),
    "column": lambda: tf.linalg.svd(tf.ones([4, 1])),
    "nested": lambda: tf.map_fn(lambda x: tf.math.bincount(x[tf.newaxis]), CLASSES),
    # And what a GPU has a deterministic kernel for, or computes elsewhere.
    "softmax": slope(lambda x: tf.nn.sparse_softmax_cross_entropy_with_logits(CLASSES, x), LOGITS),
    "trained": slope(batch_norm(is_training=True), IMAGES),
    "columns": lambda: tf.linalg.svd(tf.ones([4, 2])),
    "bilinear": slope(lambda x: tf.image.resize(x, [16, 8]), IMAGES),
    "embedding": slope(lambda x: tf.gather(x, CLASSES), LOGITS),
    "segments": lambda: tf.math.unsorted_segment_sum(LOGITS, CLASSES, 2),
    "max_pool": slope(lambda x: tf.nn.max_pool2d(x, 2, 2, "SAME"), IMAGES),
    "on_cpu": on_cpu,
}


def found(function, *specs):
    graph = tf.function(function, autograph=False).get_concrete_function(*specs).graph
    return sorted({op.type for op in gpu_kernels.without_kernel(graph)})


def features_of(name, config):
    if name not in NOT_HERE:
        return sources.describe(config.dataset).features
    return {
        "image": Feature(NOT_HERE[name], "uint8"),
        "label": Feature((), "int64", num_classes=10),
    }


def steps(name, config):
    """Return the training and the evaluation step of a config, augmentation included."""
    features = features_of(name, config)
    keras.backend.clear_session()
    task = build.build_task(
        config,
        preprocess.seen_features(features, config.augment),
        total_steps=10,
        rate_scale=keras.Variable(1.0, trainable=False),
    )
    change = preprocess.make_preprocess(features, config.augment, seed=config.seed)
    plan = build.step_plan(config)

    def both(batch, positions):
        zero = tf.constant(0, tf.int64)
        microbatches = Microbatches(change(batch, positions), tf.ones(SHAPE), zero, zero)
        return make_train_step(task, plan)(microbatches), make_eval_step(task, plan)(microbatches)

    batch = {n: tf.TensorSpec([*SHAPE, *f.shape], f.dtype) for n, f in features.items()}
    return both, batch, tf.TensorSpec(SHAPE, tf.int64)


def everything():
    """Return digits with every metric for class numbers, and every change of an image."""
    config = experiment_file.load("digits")
    balanced = PartConfig("balanced_accuracy", {"num_classes": 10})
    metrics = (PartConfig("accuracy"), balanced, PartConfig("top_k"))
    augment = tuple(PartConfig(name) for name in registry.AUGMENTS if name != "mixup")
    return dataclasses.replace(config, metrics=metrics, augment=augment)


def main(what):
    tf.config.experimental.enable_op_determinism()
    if what == "planted":
        refused = {name: found(function) for name, function in PLANTED.items()}
        refused["every change and metric"] = found(*steps("digits", everything()))
    else:
        shipped = {name: experiment_file.load(name) for name in experiment_file.names()}
        refused = {name: found(*steps(name, config)) for name, config in shipped.items()}
    print(json.dumps(refused))


if __name__ == "__main__":
    main(sys.argv[1])
