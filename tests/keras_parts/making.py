"""How to make one of each class: what its required arguments are called tells what they are.

Only how a class is made and fed stands here. What becomes of it is found by running it.
"""

import inspect
import pathlib
import tempfile

import keras
import numpy as np
import tensorflow as tf

from tests.keras_parts.classes import classes

layers = keras.layers

BY_PARAMETER = {
    "filters": 2,
    "kernel_size": 2,
    "pool_size": 2,
    "units": 3,
    "rate": 0.3,
    "stddev": 0.3,
    "output_size": 2,
    "n": 2,
    "dims": (2, 1),
    "target_shape": (-1, 2),
    "height": 4,
    "width": 4,
    "num_heads": 2,
    "key_dim": 2,
    "factor": 0.3,
    "height_factor": 0.2,
    "width_factor": 0.2,
    "scale": 0.5,
    "num_classes": 3,
    "activation": "tanh",
    "name": "made",
    "target_class_ids": [0, 2],
    "recall": 0.5,
    "precision": 0.5,
    "specificity": 0.5,
    "sensitivity": 0.5,
    "value_range": (0.0, 1.0),
}
"""Required argument -> value."""

WORDS = ["0", "1", "2", "3"]
BY_CLASS = {
    "Bidirectional": lambda: {"layer": layers.GRU(2)},
    "TimeDistributed": lambda: {"layer": layers.Dense(2)},
    "SpectralNormalization": lambda: {"layer": layers.Dense(3)},
    "RNN": lambda: {"cell": layers.GRUCell(2)},
    "StackedRNNCells": lambda: {"cells": [layers.GRUCell(2), layers.LSTMCell(3)]},
    "EinsumDense": lambda: {"equation": "abc,cd->abd", "output_shape": (6, 3)},
    "GroupNormalization": lambda: {"groups": 2},
    "GroupQueryAttention": lambda: {"head_dim": 2, "num_query_heads": 2, "num_key_value_heads": 1},
    "Dot": lambda: {"axes": 2},
    "Lambda": lambda: {"function": lambda x: x * 2.0},
    "Embedding": lambda: {"input_dim": 4, "output_dim": 3},
    "ReversibleEmbedding": lambda: {"input_dim": 4, "output_dim": 3},
    "CategoryEncoding": lambda: {"num_tokens": 4},
    "Discretization": lambda: {"bin_boundaries": [0.2, 0.5, 0.7]},
    "HashedCrossing": lambda: {"num_bins": 5},
    "Hashing": lambda: {"num_bins": 5},
    "IntegerLookup": lambda: {"vocabulary": [0, 1, 2, 3]},
    "StringLookup": lambda: {"vocabulary": WORDS},
    "TextVectorization": lambda: {"vocabulary": WORDS, "output_sequence_length": 2},
    "Normalization": lambda: {"mean": 0.5, "variance": 2.0},
    "Pipeline": lambda: {"layers": [layers.Rescaling(2.0), layers.RandomFlip()]},
    "MelSpectrogram": lambda: {"fft_length": 16, "sequence_stride": 8, "num_mel_bins": 4},
    "STFTSpectrogram": lambda: {
        "frame_length": 16,
        "frame_step": 8,
        "fft_length": 16,
        "window": None,
    },
    "RandomPosterization": lambda: {"factor": 4, "value_range": (0.0, 1.0)},
    "RandomElasticTransform": lambda: {"factor": 1.0, "value_range": (0.0, 1.0)},
    "MaxNumBoundingBoxes": lambda: {"max_number": 2, "bounding_box_format": "xyxy"},
    "TFSMLayer": lambda: {"filepath": saved_model(), "call_endpoint": "serve"},
    "JaxLayer": lambda: {"call_fn": lambda x: x},
    "FlaxLayer": lambda: {"module": object()},
    "TorchModuleWrapper": lambda: {"module": object()},
    "OneHotIoU": lambda: {"num_classes": 3, "target_class_ids": [0, 2]},
    "TopKCategoricalAccuracy": lambda: {"k": 2},
    "SparseTopKCategoricalAccuracy": lambda: {"k": 2},
    "MeanMetricWrapper": lambda: {"fn": keras.losses.mean_squared_error},
    "LossScaleOptimizer": lambda: {"inner_optimizer": keras.optimizers.SGD(0.1)},
    "MultiOptimizer": lambda: {
        "optimizer_map": keras.optimizers.OptimizerMap(keras.optimizers.SGD(0.1))
    },
}
"""Class -> arguments, where the names of its parameters do not tell."""

IMAGE, SEQUENCE = (8, 8, 3), (6, 4)
SHAPES = {
    "ConvLSTM1D": (3, 6, 2),
    "ConvLSTM2D": (2, 5, 5, 2),
    "ConvLSTM3D": (2, 4, 4, 4, 2),
    "MelSpectrogram": (64,),
    "STFTSpectrogram": (64, 1),
    "RepeatVector": (4,),
    "HashedCrossing": (1,),
    "TextVectorization": (1,),
    "ReversibleEmbedding": (6,),
    "Embedding": (6,),
    "CategoryEncoding": (6,),
    "Normalization": SEQUENCE,
    "Discretization": SEQUENCE,
}
WHOLE_NUMBERS = {"Embedding", "ReversibleEmbedding", "CategoryEncoding", "HashedCrossing"}
WHOLE_NUMBERS |= {"Hashing", "IntegerLookup", "StringLookup", "TextVectorization"}
TEXT = {"StringLookup", "TextVectorization"}
CELLS = {"GRUCell", "LSTMCell", "SimpleRNNCell", "StackedRNNCells"}


def arguments(name, cls):
    """Return the arguments that make one of a class."""
    if name in BY_CLASS:
        return BY_CLASS[name]()
    parameters = inspect.signature(cls).parameters.values()
    required = {p.name for p in parameters if p.default is p.empty and p.kind not in (2, 4)}
    if "value_range" in {p.name for p in parameters}:
        required |= {"value_range"}  # of images that a network sees
    return {n: BY_PARAMETER[n] for n in sorted(required)}


def made(kind, name, *given, **more):
    """Make one of a class; `given` comes first."""
    cls = classes(kind)[name]
    return cls(*given, **arguments(name, cls), **more)


def optimizer(rate, *, name):
    """Make an optimizer, as a config names it."""
    cls = classes("optimizers")[name]
    if name in BY_CLASS:
        return cls(**BY_CLASS[name]())
    return cls(learning_rate=rate)


def loss(*, name):
    """Make a loss."""
    return made("losses", name)


def metric(*, name):
    """Make a metric."""
    return made("metrics", name)


def regularizer(*, name):
    """Make a regularizer, strong enough to be seen."""
    cls = classes("regularizers")[name]
    strengths = {"L1": {"l1": 0.1}, "L2": {"l2": 0.1}, "L1L2": {"l1": 0.1, "l2": 0.1}}
    return cls(**strengths.get(name, {}))


def input_of(name):
    """Return the shape and dtype of what the layer is fed, without the batch."""
    cls = classes("layers")[name]
    default = SEQUENCE
    if "2D" in name or "preprocessing.image" in cls.__module__:
        default = IMAGE
    if "3D" in name:
        default = (4, 4, 4, 2)
    dtype = "int64" if name in WHOLE_NUMBERS else "float32"
    return SHAPES.get(name, default), dtype


def model(input_shape, num_outputs, *, names):
    """Return a model with a branch for each layer; they take the same inputs."""
    shape, dtype = input_of(names[0])
    inputs = keras.Input(shape, dtype=dtype)
    return keras.Model(inputs, {name: branch(name, num_outputs)(inputs) for name in names})


def branch(name, num_outputs):
    """Return a model around one layer: what comes before it is trained, too, where it can be."""
    shape, dtype = input_of(name)
    inputs = x = keras.Input(shape, dtype=dtype)
    if "preprocessing" not in classes("layers")[name].__module__ and dtype == "float32":
        x = layers.Dense(shape[-1])(x)
    outputs = keras.tree.flatten(called(name, x))[0]
    flat = layers.Flatten()(keras.ops.cast(outputs, "float32"))
    return keras.Model(inputs, layers.Dense(num_outputs, dtype="float32")(flat), name=name)


def errors(labels, outputs):
    """Return the loss of each example, float[B]: the errors of all branches together."""
    each = [tf.reduce_mean((labels - x) ** 2, -1) for x in keras.tree.flatten(outputs)]
    return tf.add_n(each)


def called(name, x):
    """Call a layer on `x`, in the way it has to be called."""
    module = classes("layers")[name].__module__
    if name == "InputLayer":
        return x  # every model begins with one
    one = made("layers", name)
    special = {"HashedCrossing": lambda: one((x, x)), "MaxNumBoundingBoxes": lambda: boxes(one, x)}
    # Without `training` it gives the whole image.
    special["RandomCrop"] = lambda: layers.GlobalAveragePooling2D()(one(x))
    special |= dict.fromkeys(CELLS, lambda: layers.RNN(one)(x))
    as_text = layers.Lambda(tf.strings.as_string, output_shape=x.shape[1:])
    special |= dict.fromkeys(TEXT, lambda: one(as_text(x)))
    if name in special:
        return special[name]()
    if "merging" not in module and "attention" not in module:
        return one(x)
    other = layers.Dense(x.shape[-1])(x)
    separate = name in {"MultiHeadAttention", "GroupQueryAttention"}
    return one(x, other) if separate else one([x, other])


def boxes(layer, x):
    corners = keras.ops.reshape(x[:, :3, :4, 0], (-1, 3, 4))
    numbers = keras.ops.cast(x[:, :3, 5, 0], "int32")
    out = layer({"images": x, "bounding_boxes": {"boxes": corners, "labels": numbers}})
    return out["bounding_boxes"]["boxes"]


def saved_model():
    """Write a model of another program, which has one variable."""
    folder = pathlib.Path(tempfile.mkdtemp())
    small = keras.Sequential([keras.Input(SEQUENCE), layers.Dense(2)])
    small.export(str(folder), verbose=False)
    return str(folder)


def targets(kind, name, count, rng):
    """Return labels for `count` examples, as the loss or metric wants them."""
    classes_of = rng.integers(0, 3, count)
    if name == "CTC":
        return rng.integers(1, 3, (count, 2))
    if name == "Circle":
        return np.arange(count) % 2  # every microbatch of four has pairs alike and unlike
    if name.startswith("Sparse") or name == "CategoricalGeneralizedCrossEntropy":
        return classes_of
    if name == "MeanAbsolutePercentageError":
        return 1.0 + rng.uniform(size=(count, 3)).astype(np.float32)  # it divides by them
    if name in {"MeanIoU", "IoU", "BinaryIoU", "Accuracy"}:
        return classes_of % (3 if name != "BinaryIoU" else 2)
    return np.eye(3, dtype=np.float32)[classes_of]


def labels_of(name):
    """Return what tells apart the labels that metrics want."""
    return str(targets("metrics", name, 8, np.random.default_rng(0)))


def small(input_shape, num_outputs, *, steps=0):
    """Return a model that ends in probabilities, of several positions where `steps` is given."""
    x = inputs = keras.Input(input_shape)
    x = layers.Dense(5, activation="tanh")(x)
    wide = keras.initializers.VarianceScaling(20.0)  # probabilities that are not all alike
    x = layers.Dense(num_outputs * max(1, steps), kernel_initializer=wide)(x)
    x = layers.Reshape((steps, num_outputs))(x) if steps else x
    return keras.Model(inputs, layers.Softmax()(x))
