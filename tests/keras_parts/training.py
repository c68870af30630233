"""Trains a case, and tells how far the end is from what plain Keras makes of it."""

import dataclasses

import numpy as np

from tests.engine.resident_loop import resident_loop
from tests.keras_parts import plain
from tests.keras_parts.cases import BATCH, STEPS
from trainer import build
from trainer.checkpoint import digest
from trainer.engine.audit import audited
from trainer.engine.forward_step import make_eval_step
from trainer.engine.step import make_train_step
from trainer.engine.step_sums import add, zero_sums
from trainer.run.evaluation import results

CLOSE = 1e-5


def trained(case, distribution):
    """Train 3 steps, the last two again from what was saved after the first; return the ends."""
    with distribution.scope():
        task, scale = case.task()
    train = loop(case, task, scale, distribution, training=True)
    begun = plain.numbers(case, task.model)
    sums = add(None, train(0, 1))
    saved = {name: np.asarray(v.numpy()) for name, v in task.state().items()}
    again = []
    for _ in range(2):
        for name, variable in task.state().items():
            variable.assign(saved[name])
        whole = add(sums, train(1, STEPS - 1))
        again.append(plain.numbers(case, task.model))
    ends = {}
    for name, numbers in again[0].items():
        assert same(numbers, again[1][name]), "what was saved is not the whole state"
        assert all(np.isfinite(x).all() for x in numbers), "a number is not finite"
        assert not same(numbers, begun[name]), "training changed nothing"
        ends[name] = {"numbers": numbers}
    state = [np.asarray(v.numpy()) for v in task.state().values()]
    for name in ends if case.kind != "layers" else ():  # of branches, only what is theirs
        counted = [n for n in sorted(whole) if n.startswith((f"metric/{name}/", "loss", "weight"))]
        ends[name]["numbers"] += [*state, *(np.asarray(whole[n]) for n in counted)]
    if task.metrics:
        values = evaluated(case, task, scale, distribution)
        ends = {name: end | values[name] for name, end in ends.items()}
    return {name: {**end, "digest": digest_of(end)} for name, end in ends.items()}


def digest_of(end):
    return digest({str(i): x for i, x in enumerate([*end["numbers"], *end.get("values", ())])}, 0)


def same(some, others):
    return all(np.array_equal(a, b) for a, b in zip(some, others, strict=True))


def evaluated(case, task, scale, distribution):
    """Return the numbers of each metric, and how far they are from those of Keras."""
    sums = add(None, loop(case, task, scale, distribution, training=False)(0, STEPS))
    values = sorted(results(sums, task.metrics, STEPS).items())
    ends = {}
    for name in case.names:
        is_alone = len(case.names) == 1  # then the metric may be called as it likes
        ours = [np.float64(v) for n, v in values
                if n != "loss" and (is_alone or n.partition("/")[0] == name)]  # fmt: skip
        ends[name] = {"values": ours, "keras": apart(ours, plain.metric(case, name, task))}
    return ends


def loop(case, task, scale, distribution, *, training):
    plan = build.step_plan(case.config())
    made = make_train_step(task, plan) if training else make_eval_step(task, plan)
    return resident_loop(
        distribution,
        audited(made, [*task.readable(), scale]),
        case.examples(),
        zero_sums(task, training=training),
        batch=BATCH,
        virtual_replicas=case.virtual_replicas,
    )


def compared(case, distribution, ends):
    """Train with one virtual replica and in plain Keras.

    Returns:
        Name -> how far apart they end, and whether it matters how a batch is cut.
    """
    alone = dataclasses.replace(case, virtual_replicas=1)
    with distribution.scope():
        task, scale = alone.task()
    sums = add(None, loop(alone, task, scale, distribution, training=True)(0, STEPS))
    ours = plain.numbers(case, task.model)
    weights, losses = plain.trained(alone)
    loss = apart(float(sums["loss"] / sums["weight"]), np.mean(losses))
    return {
        name: {
            "keras": max(loss, farthest(numbers, weights[name])),
            "cut": farthest(numbers, ends[name]["numbers"][: len(numbers)]) > CLOSE,
        }
        for name, numbers in ours.items()
    }


def farthest(found, expected):
    return max(apart(*pair) for pair in zip(found, expected, strict=True))


def apart(found, expected):
    """Return the largest difference, relative where the expected numbers are large."""
    error = np.abs(np.subtract(found, expected)) / (1.0 + np.abs(expected))
    return float(np.max(error, initial=0.0))
