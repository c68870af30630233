"""Trains the tasks of `tests.engine.owned`; prints {case: what became of it} as JSON.

A process of its own: `python -m tests.engine.train_owned REPLICAS EXECUTION`. What is printed of a
case is its variable `seen`, or the line by which it is refused.
"""

import json
import sys

import keras
import numpy as np
import tensorflow as tf

from common.exit_codes import RunError
from tests.engine.owned import BATCH, CASES, FEATURES, STEPS, V
from tests.engine.resident_loop import resident_loop
from trainer import build
from trainer.cluster import strategy
from trainer.cluster.placement import Placement
from trainer.config import OptimizerConfig, PartConfig, TrainConfig
from trainer.engine.audit import audited
from trainer.engine.forward_step import make_eval_step
from trainer.engine.step import make_train_step
from trainer.engine.step_sums import zero_sums


def examples():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(BATCH * STEPS, 4)).astype(np.float32)
    x[:, 0] = np.arange(BATCH * STEPS) // (BATCH // V)
    return {"x": x, "y": rng.normal(size=(BATCH * STEPS, 1)).astype(np.float32)}


def outcome(name, distribution, execution):
    config = TrainConfig(
        train_steps=STEPS,
        global_batch_size=BATCH,
        virtual_replicas=V,
        execution=execution,
        task=PartConfig(f"tests.engine.owned:{name}"),
        model=PartConfig("mlp", {"hidden": [4]}),
        loss=PartConfig("mse"),
        metrics=(),
        optimizer=OptimizerConfig("sgd", learning_rate=0.01),
    )
    keras.backend.clear_session()
    with distribution.scope():
        scale = keras.Variable(1.0, trainable=False)
        task = build.build_task(config, FEATURES, total_steps=STEPS, rate_scale=scale)
    train, evaluate = (
        resident_loop(
            distribution,
            audited(made(task, build.step_plan(config)), [*task.readable(), scale]),
            examples(),
            zero_sums(task, training=made is make_train_step),
            batch=BATCH,
            virtual_replicas=V,
        )
        for made in (make_train_step, make_eval_step)
    )
    train(0, 2)
    evaluate(0, STEPS)
    train(2, 1)
    return np.asarray(task.state()["task/seen"].numpy()).tolist()


def main(replicas, execution):
    strategy.configure_runtime(TrainConfig(epochs=1, execution=execution))
    distribution = strategy.create(Placement("cpu", replicas))
    outcomes = {}
    for name in CASES:
        try:
            outcomes[name] = outcome(name, distribution, execution)
        except RunError as error:
            outcomes[name] = f"{error.code.value}: {error.reason}"
        except ValueError as error:  # of TensorFlow, where a variable is made on two replicas
            outcomes[name] = str(error)
    print(json.dumps(outcomes))


if __name__ == "__main__":
    tf.get_logger().setLevel("ERROR")
    main(int(sys.argv[1]), sys.argv[2])
