"""`--dry_run`: what a run would take, said before it takes it."""

import json
import math
import os
import re
from collections.abc import Iterable
from pathlib import Path

import keras
import tensorflow as tf

from common.exit_codes import ExitCode, RunError
from trainer import build
from trainer.cluster import strategy
from trainer.config import experiment_file
from trainer.data.augment import preprocess
from trainer.data.serving import input_pipeline
from trainer.engine import flops, sharding, step
from trainer.plan import microbatches_per_replica
from trainer.run import child
from trainer.run.request import Request
from trainer.run.session import cores_without_work
from trainer.task import Task

Row = tuple[str, str]


def lines(request: Request, *, workdir: str, experiment: str, topology: str) -> list[str]:
    """Return what `--dry_run` prints; nothing is written, and no card's memory is taken.

    Args:
        request: what would be trained.
        workdir: folder of the run, which may have begun; empty: none.
        experiment: name or file of the config.
        topology: of the TPU to compile for; empty: none.

    Raises:
        RunError: where the run would be refused.
    """
    num_replicas = strategy.count_replicas(request.placement)
    strategy.let_memory_grow()
    found = rows(request, num_replicas, workdir)
    found.append(("time", expected_time(workdir, experiment, request.plan.total_steps)))
    if topology:
        found += check_tpu(request, topology)
    return [f"{name:30}{value}" for name, value in found]


def rows(request: Request, num_replicas: int, where: str = "") -> list[Row]:
    """Return the plan as (name, value) rows; builds the task on the CPU.

    Args:
        request: what would be trained.
        num_replicas: R.
        where: workdir of the run, which may have begun; empty: none.
    """
    config, info, plan = request.config, request.info, request.plan
    task = _build(request)
    num_microbatches = microbatches_per_replica(config.virtual_replicas, num_replicas)
    weights = sum(_num_bytes(m.weights) for m in task.models.values())
    slots = [v for o in task.optimizers.values() for v in o.variables]
    slots += [v for _, v in task.average.state()] if task.average else []
    is_sharded = config.optimizer_state == "sharded" and request.placement.strategy != "tpu"
    shards = sharding.make_shards(task, num_replicas if is_sharded else 1)
    held = max(shards.num_bytes(slots, replica) for replica in range(num_replicas))
    grads = sum(_num_bytes(m.trainable_variables) for m in task.models.values())
    data = (plan.examples_per_epoch + plan.eval_examples) * info.example_bytes
    forward = [flops.forward_graph(m, plan.microbatch_size) for m in task.models.values()]
    return [
        ("data", f"{info.source}"),
        ("training examples", f"{plan.examples_per_epoch:,}"),
        ("evaluation examples", f"{plan.eval_examples:,}"),
        ("served", _served(request, num_replicas)),
        ("data fingerprint", info.fingerprint()[:16]),
        ("replicas", f"{num_replicas}"),
        (
            "microbatches",
            f"{config.virtual_replicas} of {plan.microbatch_size}, {num_microbatches} a replica",
        ),
        ("batch", f"{plan.batch_size}"),
        ("steps", f"{plan.total_steps:,} ({plan.epochs_done(plan.total_steps):.1f} epochs)"),
        ("execution", f"{config.execution}, {config.precision}, {config.reduction} reduction"),
        ("CPU threads an operation", f"{config.intra_op_threads}"),
        ("CPU cores of this process", f"{len(os.sched_getaffinity(0))}"),
        *([("CPU cores without work", idle)] if (idle := cores_without_work(request)) else ()),
        ("parameters", f"{sum(m.count_params() for m in task.models.values()):,}"),
        ("FLOPs a step", f"{flops.step_flops(forward, config.virtual_replicas):.3g}"),
        ("optimizer state", sharding.told(task, shards)),
        ("memory: weights and slots", _mib(weights + held)),
        ("memory: optimizer state", f"{_mib(held)} of {_mib(_num_bytes(slots))} a replica"),
        ("memory: gradients", _mib(grads * (num_microbatches + 1))),
        ("memory: activations, at most", _mib(sum(map(_activation_bytes, forward)))),
        ("memory: resident data", _mib(data)),
        ("disk: a checkpoint", _mib(weights + _num_bytes(slots))),
        *(child.rows(task, config.init, where) if config.init.from_ else ()),
    ]


def check_tpu(request: Request, topology: str) -> list[Row]:
    """Compile one microbatch with XLA, as a TPU would have it, for the chips of `topology`.

    No TPU is needed and none is touched: what is shown is that every shape is static and every
    operation has an XLA kernel.

    Raises:
        RunError: BAD_CONFIG with the operation that stands in the way.
    """
    config, plan = request.config, request.plan
    num_replicas = _chips(topology)
    microbatches_per_replica(config.virtual_replicas, num_replicas)
    task = _build(request)
    for model in task.models.values():
        _refuse_dynamic_shapes(flops.forward_graph(model, plan.microbatch_size), model.name)
    train = step.make_train_step(task, build.step_plan(config))
    features = preprocess.seen_features(request.info.features, config.augment)
    shape = [1, plan.microbatch_size]
    batch = {n: tf.zeros([*shape, *f.shape], f.dtype) for n, f in features.items()}
    microbatches = step.Microbatches(
        batch, tf.ones(shape), tf.constant(0, tf.int64), tf.constant(0, tf.int64)
    )
    compiled = tf.function(lambda: train(microbatches), jit_compile=True, autograph=False)
    try:
        compiled()
    except (tf.errors.OpError, ValueError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise RunError(
            ExitCode.BAD_CONFIG, f"the step does not compile under XLA, as a TPU needs: {reason}"
        ) from error
    return [
        ("TPU topology", f"{topology}, {num_replicas} chips"),
        ("XLA", "the step compiles with static shapes"),
        ("TPU hardware", "not used by this check"),
    ]


def expected_time(workdir: str, experiment: str, total_steps: int) -> str:
    """Return what is known of the time that is left.

    Args:
        workdir: folder of the run, which may have begun; its own pace is the best guess.
        experiment: name or file, whose docstring may say what the whole run took elsewhere.
        total_steps: updates in the whole run.
    """
    if pace := _pace(Path(workdir) / "goodput.json"):
        step, secs_per_step = pace
        left = max(0, total_steps - step)
        return f"{left * secs_per_step:.0f} s for {left:,} steps, at the pace of this workdir"
    if said := re.search(
        r"^Time: (.+)$", experiment_file.docstring(experiment), flags=re.MULTILINE
    ):
        return f"{said[1]} (so the experiment says)"
    return "not known: nothing has run in --workdir yet"


def _pace(path: Path) -> tuple[int, float] | None:
    """Return the step that was reached and seconds a step; None where no step was made."""
    try:
        attempts = json.loads(path.read_text())
        made = [a for a in attempts if a["last_step"] > a["first_step"]]
        steps = sum(a["last_step"] - a["first_step"] for a in made)
        secs = sum(a["seconds"].get(b, 0.0) for a in made for b in ("step", "data"))
        return made[-1]["last_step"], secs / steps
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError):
        return None


def _build(request: Request) -> Task:
    features = preprocess.seen_features(request.info.features, request.config.augment)
    with tf.device("CPU:0"):  # whatever stands next to it: a dry run takes no card's memory
        return build.build_task(request.config, features, total_steps=request.plan.total_steps)


def _served(request: Request, num_replicas: int) -> str:
    config, cluster = request.config, request.placement.cluster
    mode = input_pipeline.serve_mode(
        num_replicas // cluster.num_workers,
        request.info,
        config.dataset,
        compiled=config.execution == "xla_loop",
        num_processes=cluster.num_on_host,
    )
    return f"{mode} (config.dataset.serve={config.dataset.serve})"


def _chips(topology: str) -> int:
    dimensions = topology.lower().split("x")
    if len(dimensions) not in (2, 3) or not all(d.isdigit() and int(d) for d in dimensions):
        raise RunError(
            ExitCode.BAD_FLAG, f"--assume_topology={topology!r} is not a topology such as 2x4"
        )
    return math.prod(map(int, dimensions))


def _refuse_dynamic_shapes(graph: tf.Graph, model: str) -> None:
    for op in graph.get_operations():
        for output in op.outputs:
            if not output.shape.is_fully_defined() and output.dtype != tf.resource:
                raise RunError(
                    ExitCode.BAD_CONFIG,
                    f"model {model!r} has a shape that depends on the data: {op.name} gives "
                    f"{output.shape}; a TPU compiles static shapes only (mask with tf.where)",
                )


def _activation_bytes(graph: tf.Graph) -> int:
    outputs = [t for op in graph.get_operations() for t in op.outputs]
    sizes = [(t.shape.num_elements(), t.dtype.size) for t in outputs]
    return sum(count * width for count, width in sizes if count)


def _num_bytes(variables: Iterable[keras.Variable]) -> int:
    return sum(math.prod(v.shape) * tf.as_dtype(v.dtype).size for v in variables)


def _mib(num_bytes: float) -> str:
    return f"{num_bytes / 2**20:.1f} MiB"
