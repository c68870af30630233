"""Trains with sharded state: `python -m tests.engine.sharded V REPLICAS,... CASE...`; prints JSON.

One task with a model and an optimizer for each case, in one process with V replicas of the CPU.
First one replica makes all steps. Then others make a share of them each, from each other's
checkpoints. Of each case: what both end with, and how the variables of the optimizer are shared.
"""

import dataclasses
import json
import sys

import keras
import numpy as np
import tensorflow as tf

from tests.engine.resident_loop import resident_loop
from trainer import build
from trainer.checkpoint import digest
from trainer.cluster import strategy
from trainer.cluster.placement import Placement
from trainer.config import GroupConfig, OptimizerConfig, PartConfig, TrainConfig
from trainer.data.info import Feature
from trainer.engine import sharding
from trainer.engine.audit import audited
from trainer.engine.forward_step import make_eval_step
from trainer.engine.replica_hashes import make_hashes
from trainer.engine.step import make_train_step
from trainer.engine.step_sums import zero_sums
from trainer.run.session import Session
from trainer.task import Task

BATCH, STEPS, INPUTS, HIDDEN = 16, 4, 24, 40
FEATURES = {"x": Feature((INPUTS,), "float32"), "y": Feature((1,), "float32")}
USERS = "tests.parts.brought_optimizers:"


def case(name, **fields):
    return OptimizerConfig(name, 0.01, **fields)


FAST = {
    "adam": case(
        "keras.optimizers:AdamW",
        clip_norm=0.5,
        groups=(GroupConfig(("*/bias",), learning_rate=0.001, weight_decay=0.0),),
    ),
    "lamb": case("lamb"),
    "users": case(f"{USERS}with_slots"),
}
KERAS = ("Adadelta", "Adafactor", "Adagrad", "Adam", "Adamax", "Ftrl", "Lion", "Muon", "Nadam",
         "RMSprop", "SGD", "ScheduleFreeAdamW")  # fmt: skip
CASES = FAST | {name: case(f"keras.optimizers:{name}") for name in KERAS}
CASES |= {name: case(name) for name in ("midpoint", "momentum")}
CASES["mixing"] = case(f"{USERS}WithAVariableOfItsOwn")


class Many(Task):
    """Trains each model with its own optimizer, on the sum of their losses."""

    @classmethod
    def model_shapes(cls, features, *, roles):
        return dict.fromkeys(roles, (features["x"], 1))

    def __init__(self, parts, *, roles):
        super().__init__(parts)
        del roles

    def train_step(self, replica):
        weights = [v for model in self.models.values() for v in model.trainable_variables]
        grads = replica.gradient(self.eval_step, weights)
        for role, model in self.models.items():
            count = len(model.trainable_variables)
            replica.apply(self.optimizers[role], grads[:count], weights[:count])
            grads, weights = grads[count:], weights[count:]

    def eval_step(self, microbatch):
        outputs = [model(microbatch["x"]) for model in self.models.values()]
        errors = [tf.square(y - microbatch["y"]) for y in outputs]
        return tf.reduce_sum(tf.add_n(errors), axis=-1)


def config_of(optimizers, virtual_replicas, hidden=(HIDDEN,), ema_decay=0.9):
    """Return the config of a task with these optimizers, by role."""
    model = PartConfig("mlp", {"hidden": list(hidden)})
    (main, first), *others = optimizers.items()
    del main
    return TrainConfig(
        train_steps=STEPS,
        global_batch_size=BATCH,
        virtual_replicas=virtual_replicas,
        task=PartConfig("tests.engine.sharded:Many", {"roles": ["main", *dict(others)]}),
        model=model,
        models={role: model for role, _ in others},
        metrics=(),
        optimizer=first,
        optimizers=dict(others),
        ema_decay=ema_decay,
    )


def examples():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(BATCH * STEPS, INPUTS)).astype(np.float32)
    return {"x": x, "y": rng.normal(size=(BATCH * STEPS, 1)).astype(np.float32)}


def opened(config, distribution, *, is_sharded=True):
    """Return a session; with state that is sharded over its replicas, unless it shall be whole."""
    keras.backend.clear_session()
    with distribution.scope():
        scale = keras.Variable(1.0, trainable=False)
        task = build.build_task(config, FEATURES, total_steps=STEPS, rate_scale=scale)
        num_replicas = distribution.num_replicas_in_sync if is_sharded else 1
        shards = sharding.make_shards(task, num_replicas)
        sharding.store(distribution, task, shards)
    plan = dataclasses.replace(build.step_plan(config), shards=shards)
    train, evaluate = (
        resident_loop(
            distribution,
            audited(made(task, plan), [*task.readable(), scale]),
            examples(),
            zero_sums(task, training=made is make_train_step),
            batch=BATCH,
            virtual_replicas=config.virtual_replicas,
        )
        for made in (make_train_step, make_eval_step)
    )
    hashes = make_hashes(distribution, task.state(), shards)
    read = sharding.make_read(distribution, shards)
    return Session(
        None, distribution, task, train, evaluate, hashes, shards, read, scale, pictures=dict
    )


def end(session):
    """Return what must not depend on the replicas: each role's state, all hashes, an evaluation."""
    state = session.read_state()
    roles = {
        role: {n: x for n, x in state.items() if role in n.split("/")[:2]}
        for role in session.task.models
    }
    return {
        "digests": [digest(of_role, STEPS) for of_role in roles.values()],
        "hashes": {tuple(row) for row in session.hashes().tolist()}.pop(),
        "loss": float(session.evaluate(0, 1).each["loss"][0]),
    }


def bytes_of_replicas(session, role="main"):
    """Return the bytes that each replica here holds of an optimizer and of averages."""
    names = (f"optimizer/{role}/", f"average/{role}/")
    held = [v for name, v in session.task.state().items() if name.startswith(names)]
    copies = [session.strategy.experimental_local_results(v.value) for v in held]
    return [sum(c.numpy().nbytes for c in of_one) for of_one in zip(*copies, strict=True)]


def bytes_of_roles(session):
    return [bytes_of_replicas(session, role) for role in session.task.models]


def main(virtual_replicas, placements, names):
    strategy.configure_runtime(TrainConfig(epochs=1))
    strategy.create(Placement("cpu", virtual_replicas))
    config = config_of({name: CASES[name] for name in names}, virtual_replicas)
    session = opened(config, tf.distribute.get_strategy())
    session.train(0, STEPS)
    found = {"one": end(session), "bytes": {1: bytes_of_roles(session)}}
    state, step, share = None, 0, STEPS // len(placements)
    for replicas in placements:
        devices = [f"CPU:{index}" for index in range(replicas)]
        session = opened(config, strategy._mirrored(devices))
        if state:
            session.write_state(state)
        session.train(step, share)
        state, step = session.read_state(), step + share
        found["bytes"][replicas] = bytes_of_roles(session)
    print(json.dumps({**found, "others": end(session)}))


if __name__ == "__main__":
    tf.get_logger().setLevel("ERROR")
    main(int(sys.argv[1]), [int(r) for r in sys.argv[2].split(",")], sys.argv[3:])
