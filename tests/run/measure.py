"""Evaluates the first n of some examples for several n; prints one JSON object a line."""

import functools
import json
import sys

import keras
import numpy as np
import tensorflow as tf

from trainer.cluster import strategy
from trainer.cluster.placement import Placement
from trainer.config import TrainConfig
from trainer.data.info import Shard, Split
from trainer.data.serving.order import Batches, SequentialOrder
from trainer.data.serving.resident import ResidentPipeline
from trainer.engine.forward_step import make_eval_step
from trainer.engine.inner_loop import InnerLoop
from trainer.engine.step import StepPlan
from trainer.engine.step_sums import add, zero_sums
from trainer.run.evaluation import results
from trainer.task import Parts
from trainer.tasks.supervised import Supervised

V, BATCH = 4, 8


def examples(count):
    rng = np.random.default_rng(5)
    x = rng.normal(size=(count, 3)).astype(np.float32)
    return {"x": x, "y": rng.integers(0, 2, count)}


def build():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.set_weights([np.array([[1, -1], [0.5, 2], [-0.3, 0.7]]), np.array([0.1, -0.2])])
    loss = functools.partial(keras.losses.sparse_categorical_crossentropy, from_logits=True)
    metrics = {"accuracy": keras.metrics.SparseCategoricalAccuracy()}
    return Supervised(
        Parts({"main": model}, {"main": None}, metrics, loss, None), input="x", label="y"
    )


def main(replicas, sizes):
    strategy.configure_runtime(TrainConfig(epochs=1))
    distribution = strategy.create(Placement("cpu", replicas))
    with distribution.scope():
        task = build()
    step = make_eval_step(task, StepPlan(0, V, "exact", "graph", {}))
    for n in sizes:
        steps = -(-n // BATCH)
        order = SequentialOrder(Split("test", (Shard("unused", n),), 0, n))
        run = InnerLoop(
            distribution,
            step,
            ResidentPipeline(
                distribution,
                examples(n),
                Batches(order, BATCH, BATCH // V, range(BATCH)),
                steps,
            ),
            lambda batch, _: batch,
            microbatches_per_replica=V // replicas,
            zero=zero_sums(task, training=False),
            compiled=False,
        )
        sums = add(None, run(0, steps))
        values = results(sums, task.metrics, steps)
        print(json.dumps({"n": n, "weight": float(sums["weight"]), **values}))


if __name__ == "__main__":
    tf.get_logger().setLevel("ERROR")
    main(int(sys.argv[1]), [int(n) for n in sys.argv[2:]])
