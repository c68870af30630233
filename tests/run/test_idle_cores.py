"""Cores that a config leaves without work are named where the config can still be changed."""

import os
import pathlib

import pytest

from tests.processes import trainer
from trainer.config import TrainConfig
from trainer.plan import idle_cores

HALF = (
    "1 of 2, for a step has 1 x 1 threads (virtual_replicas x intra_op_threads); large operations "
    "are faster with --config.virtual_replicas=2 or --config.intra_op_threads=2, which gives other "
    "last bits"
)


def config(batch: int = 32, cut: int = 1, threads: int = 1, execution: str = "graph"):
    return TrainConfig(
        epochs=1,
        global_batch_size=batch,
        virtual_replicas=cut,
        intra_op_threads=threads,
        execution=execution,
    )


@pytest.mark.parametrize(
    ("of", "cores", "said"),
    [
        (config(), 1, ""),
        (config(), 2, HALF),
        (config(cut=2), 2, ""),
        (config(threads=2), 2, ""),
        (config(cut=4), 2, ""),
        (config(execution="xla_loop"), 8, ""),
    ],
)
def test_a_core_has_work_where_a_microbatch_or_a_thread_is_for_it(of, cores, said):
    assert idle_cores(of, cores) == said


@pytest.mark.parametrize(
    ("of", "cores", "cut", "threads"),
    [
        (config(batch=96, cut=2), 5, 6, 3),  # 4 is too few; the batch has to be cut evenly
        (config(batch=96, cut=2, threads=2), 7, 4, 4),
        (config(batch=32, cut=4), 64, None, 16),
        (config(batch=7), 8, None, 8),
    ],
)
def test_what_is_advised_is_allowed_and_enough(of, cores, cut, threads):
    said = idle_cores(of, cores)
    assert f"intra_op_threads={threads}," in said
    assert (f"--config.virtual_replicas={cut} or" in said) if cut else ("--config.v" not in said)
    assert idle_cores(config(batch=of.global_batch_size, cut=cut or 1, threads=cores), cores) == ""


def test_a_new_run_and_a_dry_run_say_so_and_a_restart_does_not(tmp_path: pathlib.Path):
    fields = ("--config.virtual_replicas=1", "--config.train_steps=1", f"--workdir={tmp_path}")
    expected = idle_cores(config(), len(os.sched_getaffinity(0)))
    planned = trainer("--config=digits", *fields, "--dry_run").stdout
    assert ("CPU cores without work        " + expected in planned) == bool(expected)
    first, again = (trainer("--config=digits", *fields) for _ in range(2))
    assert (f"CPU cores without work: {expected}" in first.stderr) == bool(expected), first.stderr
    assert "restored" in again.stderr
    assert "without work" not in again.stderr
