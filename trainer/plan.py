"""What follows from a config and the data before anything is built; standard library only."""

import dataclasses
import math

from common.exit_codes import ExitCode, RunError
from trainer.config import TrainConfig
from trainer.data.info import DatasetInfo


@dataclasses.dataclass(frozen=True)
class Plan:
    """Numbers of a run. Steps count updates; nothing here depends on the hardware.

    Attributes:
        total_steps: updates in the whole run.
        examples_per_epoch: N.
        batch_size: B.
        microbatch_size: b = B / V.
        eval_examples: 0 without evaluation.
        eval_steps: padded batches in one evaluation.
    """

    total_steps: int
    examples_per_epoch: int
    batch_size: int
    virtual_replicas: int
    eval_examples: int

    @property
    def microbatch_size(self) -> int:
        """Examples of one virtual replica in one step."""
        return self.batch_size // self.virtual_replicas

    @property
    def eval_steps(self) -> int:
        """Padded batches in one evaluation."""
        return -(-self.eval_examples // self.batch_size)

    def epoch_end(self, step: int) -> int:
        """Return the first step after `step` at which an epoch is complete."""
        epoch = step * self.batch_size // self.examples_per_epoch + 1
        return -(-epoch * self.examples_per_epoch // self.batch_size)

    def epochs_done(self, step: int) -> float:
        """Return the passes over the data after `step` updates."""
        return step * self.batch_size / self.examples_per_epoch


def make_plan(config: TrainConfig, info: DatasetInfo) -> Plan:
    """Return the plan of a run.

    Raises:
        RunError: BAD_CONFIG where the batch is larger than the data, or the run too long to count.
    """
    num_train = info.train.num_examples
    if config.global_batch_size > num_train:
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"config.global_batch_size={config.global_batch_size} is larger than the data: "
            f"split {info.train.name!r} holds {num_train} examples",
        )
    return Plan(
        total_steps=_total_steps(config, num_train),
        examples_per_epoch=num_train,
        batch_size=config.global_batch_size,
        virtual_replicas=config.virtual_replicas,
        eval_examples=info.evaluation.num_examples if info.evaluation else 0,
    )


def _total_steps(config: TrainConfig, num_train: int) -> int:
    # The position of an example is counted in 64 bits on the device.
    if max(config.train_steps * config.global_batch_size, config.epochs * num_train) >= 2**62:
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"config.train_steps={config.train_steps} and config.epochs={config.epochs}: the run "
            "must end before its 2**62nd example",
        )
    return config.train_steps or math.ceil(config.epochs * num_train / config.global_batch_size)


def idle_cores(config: TrainConfig, cores: int) -> str:
    """Return a line on cores of a CPU that a step leaves without work; "" where it uses all.

    Microbatches run side by side, each operation on its threads. In one program of XLA they run one
    after another, and more threads made none faster: nothing is said of it.

    Args:
        config: of a run in one process.
        cores: that the process may use.
    """
    size, cut, threads = config.global_batch_size, config.virtual_replicas, config.intra_op_threads
    if cut * threads >= cores or config.execution == "xla_loop":
        return ""
    finer = (v for v in range(cut, size + 1, cut) if size % v == 0 and v * threads >= cores)
    instead = [f"--config.virtual_replicas={v}" for v in [next(finer, 0)] if v]
    instead.append(f"--config.intra_op_threads={math.ceil(cores / cut)}")
    return (
        f"{cores - cut * threads} of {cores}, for a step has {cut} x {threads} threads "
        "(virtual_replicas x intra_op_threads); large operations are faster with "
        f"{' or '.join(instead)}, which gives other last bits"
    )


def microbatches_per_replica(virtual_replicas: int, num_replicas: int) -> int:
    """Return k = V / R.

    Raises:
        RunError: BAD_CONFIG where R does not divide V.
    """
    if virtual_replicas % num_replicas:
        allowed = [r for r in range(1, virtual_replicas + 1) if virtual_replicas % r == 0]
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"{num_replicas} replicas cannot share config.virtual_replicas={virtual_replicas} "
            f"evenly; allowed here: {', '.join(map(str, allowed))} replicas "
            "(--cpu_replicas, GPUs or workers), or another config.virtual_replicas",
        )
    return virtual_replicas // num_replicas
