"""The inner loop over arrays in their order, as the batteries train it."""

from trainer.data.info import Shard, Split
from trainer.data.serving.order import Batches, SequentialOrder
from trainer.data.serving.resident import ResidentPipeline
from trainer.engine.inner_loop import InnerLoop


def resident_loop(distribution, step_fn, arrays, zero, *, batch, virtual_replicas, compiled=False):
    """Return a loop of `step_fn` over feature -> [N, ...] without shuffling; it pads the end."""
    (count,) = {len(values) for values in arrays.values()}
    order = SequentialOrder(Split("unused", (Shard("unused", count),), 0, count))
    batches = Batches(order, batch, batch // virtual_replicas, range(batch))
    return InnerLoop(
        distribution,
        step_fn,
        ResidentPipeline(distribution, arrays, batches, -(-count // batch)),
        lambda batch, _: batch,
        microbatches_per_replica=virtual_replicas // distribution.num_replicas_in_sync,
        zero=zero,
        compiled=compiled,
    )
