"""The same training as a plain loop of Keras: what the engine is compared with."""

import contextlib

import keras
import numpy as np
import tensorflow as tf

from tests.keras_parts.cases import BATCH, STEPS, counted
from trainer import build
from trainer.engine.optimizer import backend_neutral
from trainer.engine.scopes import SEED, philox_seeds, unseeded_draws
from trainer.engine.virtual_replica import VirtualReplicaState

# It reads its momentum after it has written it, where variables are those of TensorFlow: the old
# one that its formula means is what the pure form of Keras gives, on every backend.
PURE = {"ScheduleFreeAdamW"}


def trained(case):
    """Return the weights and the losses of the steps; random numbers come from the same seeds."""
    task, _ = case.task()
    model, given = task.model, case.examples()
    optimizer = case.optimizer()
    with backend_neutral() if _is_pure(optimizer) else contextlib.nullcontext():
        optimizer.build(model.trainable_variables)
    losses = []
    for step in range(STEPS):
        part = slice(step * BATCH, (step + 1) * BATCH)
        _seed(case, task, step)
        with unseeded_draws(task.unseeded), tf.GradientTape() as tape:
            outputs = model(tf.constant(given["x"][part]), training=True)
            outputs = keras.tree.map_structure(lambda x: tf.cast(x, tf.float32), outputs)
            loss = case.loss(given["y"][part], outputs)
            loss_and_penalty = loss + sum(model.losses) + case.penalty(model)
        grads = tape.gradient(loss_and_penalty, model.trainable_variables)
        pairs = zip(grads, model.trainable_variables, strict=True)
        _update(optimizer, [(g, v) for g, v in pairs if g is not None])
        losses.append(float(loss_and_penalty))
    return numbers(case, model), losses


def _seed(case, task, step):
    """Give the seed generators what the one microbatch of a step gets."""
    key = tf.stack([build.step_plan(case.config()).stream(0), tf.constant(step, tf.int64)])
    state = VirtualReplicaState(task)
    drawn = philox_seeds(key, len(state.seeds))
    for variable, seed in zip(state.seeds, tf.unstack(drawn), strict=True):
        variable.assign(tf.cast(seed, variable.dtype))


def _is_pure(optimizer):
    return type(optimizer).__name__ in PURE


def _update(optimizer, pairs):
    """Apply the gradients: as Keras does on TensorFlow, or as it does on every backend."""
    if not _is_pure(optimizer):
        optimizer.apply_gradients(pairs)
        return
    with backend_neutral(), keras.StatelessScope() as scope:
        optimizer.apply(*map(list, zip(*pairs, strict=True)))
    for variable in (*optimizer.variables, *(v for _, v in pairs)):
        if (value := scope.get_current_value(variable)) is not None:
            variable.assign(value)


def numbers(case, model):
    """Return name -> what training moves; states of seed generators stand for nothing."""
    return {
        name: [np.asarray(v.numpy()) for v in part.variables if not v.path.endswith(SEED)]
        for name, part in case.branches(model).items()
    }


def metric(case, name, task):
    """Return the numbers that Keras gives for all examples at once."""
    found, given = case.metric(name), case.examples()
    counted(found, name, given["y"], task.model(given["x"], training=False))
    return [float(x) for each in keras.tree.flatten(found.result()) for x in np.ravel(each)]
