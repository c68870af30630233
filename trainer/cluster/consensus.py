"""What all workers decide alike at a boundary, though each has seen something else."""

import numpy as np
import tensorflow as tf

from common.cluster_description import Cluster
from common.exit_codes import ExitCode, RunError
from trainer.engine.gathering import from_replicas


class Consensus:
    """Compares a few numbers of the workers; a run of one process needs no message.

    Args:
        strategy: of the run.
        cluster: of the run.
    """

    def __init__(self, strategy: tf.distribute.Strategy, cluster: Cluster) -> None:
        self.cluster = cluster
        self._gather = from_replicas(strategy, lambda mine: mine)

    def at_boundary(self, *, stop: int, secs_per_step: float) -> tuple[int, float]:
        """Return the most that any worker was asked for, and the mean time of a step."""
        if self.cluster.num_workers == 1:
            return stop, secs_per_step
        stops, secs = self._of_all([float(stop), secs_per_step]).T
        return int(stops.max()), float(secs.mean())

    def of_any(self, asked: bool) -> bool:
        """Return whether any worker asks."""
        return bool(self.at_boundary(stop=int(asked), secs_per_step=0.0)[0])

    def same_step(self, step: int) -> None:
        """Refuse workers that restored different steps.

        Raises:
            RunError: BAD_CONFIG, because they cannot see the same workdir.
        """
        if self.cluster.num_workers == 1:
            return
        # Gathered, not averaged: workers at 5, 10 and 15 stand at 10 on the mean.
        steps = self._of_all([float(step)]).astype(int).ravel().tolist()
        if len(set(steps)) > 1:
            raise RunError(
                ExitCode.BAD_CONFIG,
                f"worker {self.cluster.index} restored step {step}, and the workers {steps}: "
                "--workdir must be a folder or bucket that every worker reads",
            )

    def wait_for_all(self) -> None:
        """Return when every worker has come here."""
        # Any collective is a barrier; this one is traced already.
        self.at_boundary(stop=0, secs_per_step=0.0)

    def _of_all(self, values: list[float]) -> np.ndarray:
        """Return what each replica was given, float64[R, n]: the same on every worker."""
        return self._gather(tf.constant(values, tf.float64))
