"""Where a run happens; checked before TensorFlow is imported, and never part of the config."""

import dataclasses
from collections.abc import Sequence
from typing import Literal

from common.cluster_description import Cluster
from common.exit_codes import ExitCode, RunError
from trainer.data.records.files import Stage
from trainer.plan import microbatches_per_replica

StrategyName = Literal["auto", "cpu", "mirrored", "multi_worker", "tpu"]


@dataclasses.dataclass(frozen=True)
class Placement:
    """Where a run is placed; no part of this may change its result.

    Attributes:
        strategy: asked for by the flag.
        cpu_replicas: logical CPU devices, each a replica; 0: not asked for.
        tpu: address of a TPU; empty: not asked for.
        cluster: of TF_CONFIG.
        stage: where remote data are brought.
    """

    strategy: StrategyName = "auto"
    cpu_replicas: int = 0
    tpu: str = ""
    cluster: Cluster = dataclasses.field(default_factory=Cluster)
    stage: Stage = dataclasses.field(default_factory=Stage)


def check(placement: Placement, virtual_replicas: int) -> None:
    """Refuse a placement that contradicts itself, the cluster or the config.

    Of two flags that exclude each other neither may win without a word.

    Args:
        placement: as it was asked for.
        virtual_replicas: V, which the replicas have to share evenly.

    Raises:
        RunError: BAD_FLAG or BAD_CONFIG naming both sides.
    """
    _check_devices(placement)
    _check_cluster(placement)
    if placement.cpu_replicas or placement.cluster.num_workers > 1:
        num_replicas = max(1, placement.cpu_replicas) * placement.cluster.num_workers
        microbatches_per_replica(virtual_replicas, num_replicas)


def check_modes(
    placement: Placement, *, assume_topology: str, is_dry_run: bool, trials: Sequence[str]
) -> None:
    """Refuse a trial run that this placement, or another one, does not allow.

    Args:
        placement: as it was asked for.
        assume_topology: of a TPU that is not there; empty: none.
        is_dry_run: whether only the plan is printed.
        trials: flags that were given of `fast_dev_run`, `debug` and `debug_nan`.

    Raises:
        RunError: BAD_FLAG.
    """
    if assume_topology and not (placement.strategy == "tpu" and is_dry_run):
        raise RunError(ExitCode.BAD_FLAG, "--assume_topology needs --dry_run --strategy=tpu")
    if len(trials) > 1:
        raise RunError(
            ExitCode.BAD_FLAG, f"--{trials[0]} contradicts --{trials[1]}; leave one of the two out"
        )
    if not trials:
        return
    if placement.cluster.num_workers > 1:
        raise RunError(ExitCode.BAD_FLAG, f"--{trials[0]} is for one process; unset TF_CONFIG")
    if trials[0] != "fast_dev_run" and placement.cpu_replicas > 1:
        raise RunError(
            ExitCode.BAD_FLAG,
            f"--{trials[0]} is for one replica: leave out --cpu_replicas={placement.cpu_replicas}; "
            "the numbers do not depend on it",
        )


def _check_devices(placement: Placement) -> None:
    strategy, tpu = placement.strategy, placement.tpu
    if tpu and strategy not in ("auto", "tpu"):
        raise RunError(ExitCode.BAD_FLAG, f"--tpu={tpu} contradicts --strategy={strategy}")
    other = f"--tpu={tpu}" if tpu else f"--strategy={strategy}"
    if placement.cpu_replicas and (tpu or strategy in ("mirrored", "tpu")):
        raise RunError(
            ExitCode.BAD_FLAG,
            f"--cpu_replicas={placement.cpu_replicas} contradicts {other}: these replicas are on "
            "the CPU; leave one of the two out",
        )


def _check_cluster(placement: Placement) -> None:
    strategy, tpu = placement.strategy, placement.tpu
    num_workers = placement.cluster.num_workers
    if num_workers == 1:
        if strategy == "multi_worker":
            raise RunError(
                ExitCode.BAD_CONFIG,
                "--strategy=multi_worker: TF_CONFIG names no workers; set it, or use another "
                "strategy",
            )
        return
    if tpu or strategy not in ("auto", "multi_worker"):
        other = f"--tpu={tpu}" if tpu else f"--strategy={strategy}"
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"TF_CONFIG names {num_workers} workers and {other} uses one process; unset TF_CONFIG, "
            "or use --strategy=multi_worker",
        )
    if placement.cpu_replicas > 1:
        raise RunError(
            ExitCode.BAD_FLAG,
            f"--cpu_replicas={placement.cpu_replicas} with {num_workers} workers: every worker is "
            "one replica; leave it out",
        )
