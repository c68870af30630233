"""Trains with sharded state: `python -m tests.engine.sharded CASE...`; prints JSON.

In one process with 8 replicas of the CPU. Of each case: what one replica ends with, what others end
with that go on from each other's checkpoints, and how the variables of the optimizer are shared.
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
from trainer.engine.replica_hashes import make_hashes
from trainer.engine.step import make_eval_step, make_train_step, zero_sums
from trainer.run.session import Session

V, BATCH, STEPS = 8, 16, 4
FEATURES = {"x": Feature((24,), "float32"), "y": Feature((1,), "float32")}
USERS = "tests.parts.brought_optimizers:"


@dataclasses.dataclass(frozen=True)
class Case:
    """How a case is trained: (replicas, steps) one after another, on one state."""

    optimizer: OptimizerConfig
    ema_decay: float = 0.0
    placements: tuple[tuple[int, int], ...] = ((2, 2), (4, 2))


def case(name, *, clip_norm=0.0, groups=(), ema_decay=0.0, placements=((2, 2), (4, 2)), **args):
    chosen = OptimizerConfig(name, 0.01, clip_norm=clip_norm, groups=groups, args=args)
    return Case(chosen, ema_decay, placements)


WIDE = ((8, 2), (2, 2))
GROUP = GroupConfig(("*/bias",), learning_rate=0.001, weight_decay=0.0)
CASES = {
    # By element, with averages, groups and clipping.
    "adam": case("adamw", clip_norm=0.5, groups=(GROUP,), ema_decay=0.9),
    # By variables. Of eight replicas some own none.
    "lamb": case("lamb", placements=((4, 2), (8, 2))),
    "users": case(f"{USERS}with_slots"),
    "midpoint": case("midpoint", placements=WIDE),
    "momentum": case("momentum", placements=WIDE),
    "mixing": case(f"{USERS}WithAVariableOfItsOwn"),
    **{
        name: case(f"keras.optimizers:{name}", placements=WIDE)
        for name in (
            *("Adadelta", "Adafactor", "Adagrad", "Adam", "Adamax", "Ftrl", "Lion", "Muon"),
            *("Nadam", "RMSprop", "SGD", "ScheduleFreeAdamW"),
        )
    },
}


def config_of(given):
    return TrainConfig(
        train_steps=STEPS,
        global_batch_size=BATCH,
        virtual_replicas=V,
        task=PartConfig("supervised", {"input": "x", "label": "y"}),
        model=PartConfig("mlp", {"hidden": [40]}),
        loss=PartConfig("mse"),
        metrics=(),
        optimizer=given.optimizer,
        ema_decay=given.ema_decay,
    )


def examples():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(BATCH * STEPS, 24)).astype(np.float32)
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
            virtual_replicas=V,
        )
        for made in (make_train_step, make_eval_step)
    )
    hashes = make_hashes(distribution, task.state(), shards)
    read = sharding.make_read(distribution, shards)
    return Session(
        None, distribution, task, train, evaluate, hashes, shards, read, scale, pictures=dict
    )


def end(session):
    """Return what must not depend on the replicas: of the state, its hashes, and an evaluation."""
    evaluated = session.evaluate(0, 1) if session.task.average else None
    return {
        "digest": digest(session.read_state(), STEPS),
        "hashes": {tuple(row) for row in session.hashes().tolist()}.pop(),
        "loss": float(evaluated.each["loss"][0]) if evaluated else 0.0,
    }


def bytes_of_replicas(session):
    """Return the bytes that each replica holds of optimizer and averages."""
    names = ("optimizer/", "average/")
    held = [v for name, v in session.task.state().items() if name.startswith(names)]
    copies = [session.strategy.experimental_local_results(v.value) for v in held]
    return [sum(c.numpy().nbytes for c in of_one) for of_one in zip(*copies, strict=True)]


def outcome(given, replicated):
    config = config_of(given)
    one = opened(config, replicated)
    one.train(0, STEPS)
    found = {"one": end(one), "bytes": {1: bytes_of_replicas(one)}}
    state, step = None, 0
    for replicas, steps in given.placements:
        devices = [f"CPU:{index}" for index in range(replicas)]
        session = opened(config, strategy._mirrored(devices))
        if state:
            session.write_state(state)
        session.train(step, steps)
        state, step = session.read_state(), step + steps
        found["bytes"][replicas] = bytes_of_replicas(session)
    return {**found, "others": end(session)}


def main(names):
    strategy.configure_runtime(1, compiled=False)
    strategy.create(Placement("cpu", 8))
    replicated = tf.distribute.get_strategy()
    print(json.dumps({name: outcome(CASES[name], replicated) for name in names}))


if __name__ == "__main__":
    tf.get_logger().setLevel("ERROR")
    main(sys.argv[1:] or list(CASES))
