"""Predictions as an evaluation makes them: the same microbatches, decoder and arithmetic."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from common.exit_codes import ExitCode, RunError
from trainer import build, user_code
from trainer.commands.predict_input import make_places
from trainer.commands.restored import Restored
from trainer.data.augment.preprocess import make_preprocess, seen_features
from trainer.data.info import DatasetInfo, Feature
from trainer.data.records.files import Stage
from trainer.data.records.read_plan import ReadPlan
from trainer.data.serving.order import Batches, SequentialOrder
from trainer.data.serving.reading import ExampleReader
from trainer.data.serving.stream import StreamPipeline
from trainer.engine.forward_step import make_predict_step, predict_fn
from trainer.engine.step import Microbatches
from trainer.engine.virtual_replica import VirtualReplicaState

Outputs = dict[str, Any]
"""Name -> [n, ...]."""


class _Noting(Mapping[str, tf.Tensor]):
    """The features of a microbatch, which takes note of those that are asked for."""

    def __init__(self, batch: Mapping[str, tf.Tensor]) -> None:
        self._batch = batch
        self.asked: dict[str, None] = {}

    def __getitem__(self, name: str) -> tf.Tensor:
        self.asked[name] = None
        return self._batch[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._batch)

    def __len__(self) -> int:
        return len(self._batch)


def features_read(restored: Restored) -> dict[str, Feature]:
    """Return the features that `Task.predict_step` reads, found by tracing it.

    Raises:
        RunError: BAD_FLAG where it cannot be called with the examples of the run.
    """
    info, size = restored.info, restored.plan.microbatch_size
    stored = info if restored.config.execution == "graph" else info.without_strings()
    seen = seen_features(stored.features, restored.config.augment)
    specs = {n: tf.TensorSpec([size, *f.shape], f.dtype) for n, f in seen.items()}
    carried = VirtualReplicaState(restored.task).carried
    predict, asked = predict_fn(restored.task, hashed=False), list[str]()

    def call(batch: dict[str, tf.Tensor]) -> Outputs:
        noting = _Noting(batch)
        given = (noting, tf.ones([size]), tf.zeros([2], tf.int64))
        try:
            return predict([v.value for v in carried], given, tf.constant(0, tf.int64))
        finally:
            asked.extend(noting.asked)

    try:
        tf.function(call, autograph=False).get_concrete_function(specs)
    except RunError:
        raise
    except Exception as error:
        place = user_code.place_of(error)
        raise RunError(
            ExitCode.BAD_FLAG,
            f"predict: {f'{place}: ' if place else ''}{type(restored.task).__name__}.predict_step, "
            f"given {', '.join(specs)}: {user_code.reason_of(error)}; write predict_step(self, "
            "microbatch) in the task, or `export` the model and call it from Python",
        ) from error
    return {name: info.features[name] for name in asked}


def rows(restored: Restored, info: DatasetInfo) -> Iterator[Outputs]:
    """Give the predictions in parts, in the order of the examples: "source", then the outputs.

    Args:
        restored: whose task predicts.
        info: of `predict_input.describe`; its training split is predicted.
    """
    size, count = restored.plan.batch_size, info.train.num_examples
    places = make_places(info)
    for start, made in zip(range(0, count, size), _batches(restored, info), strict=True):
        ids = np.arange(start, min(start + size, count))
        yield {"source": places(ids), **{n: x[: len(ids)] for n, x in made.items()}}


def _batches(restored: Restored, info: DatasetInfo) -> Iterator[Outputs]:
    """Give the outputs of each global batch; the last one is padded, as in an evaluation."""
    config, size, order = restored.config, restored.plan.batch_size, SequentialOrder(info.train)
    num_steps = -(-info.train.num_examples // size)
    visits = order.reading_order(info.train.num_examples)
    reader = ExampleReader(ReadPlan(info, info.train, info.features, visits, Stage()))
    batches = Batches(order, size, restored.plan.microbatch_size, range(size))
    pipeline = StreamPipeline(reader, batches, num_steps)
    preprocess = make_preprocess(info.features)
    predict_step = make_predict_step(restored.task, build.step_plan(config))

    @tf.function(autograph=False, jit_compile=config.execution == "xla_loop" or None)
    def predict(selected: Any, step: tf.Tensor) -> Outputs:
        first = tf.constant(0, tf.int64)
        batch, weights = pipeline.batch(selected, first, config.virtual_replicas)
        positions = tf.reshape(step * size + tf.range(size, dtype=tf.int64), weights.shape)
        made = predict_step(Microbatches(preprocess(batch, positions), weights, first, step))
        return {name: tf.reshape(x, [size, *x.shape[2:]]) for name, x in made.items()}

    try:
        for step in range(num_steps):
            try:
                served = pipeline.select(pipeline.prepare(step, 1), tf.constant(0))
                made = predict(served, tf.constant(step, tf.int64))
            except tf.errors.OpError as error:
                raise pipeline.cause(error, step, 1) from None
            yield {name: x.numpy() for name, x in made.items()}
    finally:
        pipeline.close()
