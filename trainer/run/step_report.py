"""What `--profile` says of a step besides the trace: where its time goes, and how fast that is."""

from trainer.engine import exchange, flops
from trainer.run.training import Training

NAMES = ("data", "compute", "reduce", "host")


def step_report(training: Training) -> dict[str, float]:
    """Measure, once the traced steps are over; every worker has to call it.

    Returns:
        "data_ms", "compute_ms", "reduce_ms", "host_ms": of a step of this process so far, the
        first call left out; "gflops_per_second"; "peak_gflops_per_second" that matrix products
        reach here; "utilisation", their ratio. What is exchanged is measured apart from the
        steps, so that "compute_ms" is what remains.
    """
    live, config, ledger = training.live, training.config, training.phases.ledger
    num_replicas = live.strategy.num_replicas_in_sync
    num_steps = max(1, training.num_steps - 1)
    booked = {name: ledger.seconds(name) / num_steps for name in ("step", "data", "other", "peers")}
    num_microbatches = config.virtual_replicas // num_replicas
    reduce = exchange.exchange_secs(live.strategy, live.task, num_microbatches, config.reduction)
    parts = {
        "data": booked["data"],
        "compute": max(0.0, booked["step"] - reduce),
        "reduce": reduce,
        "host": booked["other"] + booked["peers"],
    }
    graphs = [
        flops.forward_graph(m, training.plan.microbatch_size) for m in live.task.models.values()
    ]
    made = flops.step_flops(graphs, config.virtual_replicas) / sum(parts.values())
    peak = flops.peak_flops_per_second(config.precision, num_replicas)
    return {
        **{f"{name}_ms": 1e3 * parts[name] for name in NAMES},
        "gflops_per_second": made / 1e9,
        "peak_gflops_per_second": peak / 1e9,
        "utilisation": made / peak,
    }
