"""Trains with classes of Keras; prints what became of each, a line of JSON.

A process of its own: `python -m tests.keras_parts.battery REPLICAS PRECISION EXECUTION WHAT ...`,
where WHAT is a kind or `kind.Class`. On one replica it also does the same in plain Keras, and tells
how far apart they are. Layers that take the same inputs are trained together, as branches of one
model, and so are metrics: to trace a step takes longer than all else.
"""

import itertools
import json
import sys

import keras
import tensorflow as tf

from common.exit_codes import RunError
from tests.keras_parts import making, training
from tests.keras_parts.cases import WHOLE, Case, V
from tests.keras_parts.classes import classes
from trainer import user_code
from trainer.cluster import strategy
from trainer.cluster.placement import Placement
from trainer.config import TrainConfig

TOGETHER = 12
ALIKE = {"layers": making.input_of, "metrics": making.labels_of}
"""Kind -> what classes have to have in common to be trained together."""


def outcomes(case, replicas):
    """Yield name -> what became of it; layers of which one cannot be trained are parted."""
    found = outcome(case, replicas)
    if isinstance(found, list):
        yield from zip(case.names, found, strict=True)
        return
    if len(case.names) == 1:
        yield case.name, found
        return
    for names in (case.names[: len(case.names) // 2], case.names[len(case.names) // 2 :]):
        yield from outcomes(case.of(names), replicas)


def outcome(case, replicas):
    """Return for each name "digest" and how far from Keras it is, or why there is none."""
    keras.backend.clear_session()
    distribution = strategy.create(Placement("cpu", replicas))
    is_exact = (case.precision, case.execution) == ("float32", "graph")
    try:
        ends = training.trained(case, distribution)
        if replicas == 1 and is_exact and case.kind != "metrics":
            more = training.compared(case, distribution, ends)
            ends = {name: end | more[name] for name, end in ends.items()}
    except Exception as error:  # whatever it is, it is the verdict
        return explained(error)
    told = ["digest", *(("keras", "cut") if case.precision == "float32" else ())]
    return [{key: end[key] for key in told if key in end} for end in ends.values()]


def explained(error):
    chain = [error]
    while chain[-1] is not None:
        chain.append(chain[-1].__cause__ or chain[-1].__context__)
    refused = [e for e in chain if isinstance(e, RunError)]
    if refused:
        return {"refused": refused[0].reason}
    return {"error": user_code.reason_of(error), "mistake": user_code.mistake(error)}


def cases(kind, only, *how):
    """Yield what is trained together."""
    names = [only] if only else [*classes(kind)]
    if kind not in ALIKE:
        yield from (Case(kind, (name,), *how, WHOLE.get(name, V)) for name in names)
        return
    for _, group in itertools.groupby(sorted(names, key=ALIKE[kind]), ALIKE[kind]):
        alike = tuple(group)
        for start in range(0, len(alike), TOGETHER):
            yield Case(kind, alike[start : start + TOGETHER], *how)


def main(replicas, precision, execution, *what):
    strategy.configure_runtime(TrainConfig(epochs=1, execution=execution))
    for chosen in what:
        kind, _, only = chosen.partition(".")
        for case in cases(kind, only, precision, execution):
            for name, found in outcomes(case, int(replicas)):
                print(json.dumps({"kind": kind, "name": name, **found}), flush=True)


if __name__ == "__main__":
    tf.get_logger().setLevel("ERROR")
    main(*sys.argv[1:])
