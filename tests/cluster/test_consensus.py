"""What all workers decide alike: where they go on from, whether to stop, what a step takes."""

import numpy as np
import pytest
import tensorflow as tf

from common.cluster_description import Cluster
from common.exit_codes import ExitCode, RunError
from trainer.cluster.consensus import Consensus
from trainer.cluster.placement import Placement
from trainer.config import TrainConfig
from trainer.monitoring.goodput import Ledger
from trainer.monitoring.phases import Phases
from trainer.monitoring.watchdog import Watchdog
from trainer.plan import Plan
from trainer.run import loop
from trainer.run.request import Request


def consensus(index, *rows):
    """Return the consensus of worker `index`, which gives row `index`."""
    cluster = Cluster(tuple(f"host-{i}:1" for i in range(len(rows))), index)
    made = Consensus(tf.distribute.get_strategy(), cluster)

    def gather(mine):
        assert mine.numpy().tolist() == list(rows[index])
        return np.asarray(rows, np.float64)

    made._gather = gather
    return made


@pytest.mark.parametrize("steps", [(54, 60), (60, 54), (0, 6), (10, 15, 20), (6, 6, 6, 7)])
def test_every_worker_refuses_another_step_than_that_of_all(steps):
    """Also the one that stands where the others stand on the average."""
    for index, step in enumerate(steps):
        with pytest.raises(RunError, match="--workdir must be") as caught:
            consensus(index, *([s] for s in steps)).same_step(step)
        assert caught.value.code is ExitCode.BAD_CONFIG
        assert str(list(steps)) in caught.value.reason


@pytest.mark.parametrize("step", [0, 1, 2**31 + 1])
def test_workers_that_restored_one_step_go_on(step):
    for index in range(3):
        consensus(index, [step], [step], [step]).same_step(step)


@pytest.mark.parametrize("asked", [0, 1, 2])
def test_one_signal_stops_all_and_the_time_of_a_step_is_the_mean(asked):
    rows = [[float(index == asked), float(secs)] for index, secs in enumerate((1, 2, 6))]
    for index in range(3):
        stop, secs = consensus(index, *rows).at_boundary(
            stop=index == asked, secs_per_step=rows[index][1]
        )
        assert (stop, secs) == (True, 3.0)
    quiet = [[0.0, 1.0]] * 3
    assert consensus(1, *quiet).at_boundary(stop=False, secs_per_step=1.0) == (False, 1.0)


@pytest.mark.parametrize("index", [0, 1, 2])
def test_only_the_chief_learns_how_long_its_steps_take(index, monkeypatch):
    """The steps of the others also wait for its saves, which may wait for an upload."""

    class OpenedError(Exception):
        pass

    def opened(_):
        raise OpenedError

    monkeypatch.setattr(loop.workdir, "opened", opened)
    watchdog = Watchdog(1000, 1000)
    placement = Placement(cluster=Cluster(("a:1", "b:1", "c:1"), index))
    request = Request(TrainConfig(train_steps=10), None, Plan(10, 1000, 32, 4, 10), placement)
    phases = Phases(watchdog, Ledger())
    with pytest.raises(OpenedError):
        loop.run(request, "run", stop=None, phases=phases)
    for phase in ("step", "compile", "evaluate"):
        with watchdog.watch(phase):
            pass
    learnt = {phase: watchdog.limit(phase) < 1000 for phase in ("step", "compile", "evaluate")}
    assert learnt == {"step": index == 0, "compile": index == 0, "evaluate": True}
