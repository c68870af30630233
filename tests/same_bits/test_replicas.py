"""The promise of the product: one digest for one config, whatever the hardware (R7, R16)."""

import json
import pathlib

import pytest

from tests.processes import SHORT, summary

# Each case: what is special about it, and the placements that must agree with one replica.
CASES = {
    "batch_norm_dropout_adam_clip": (["--config=digits"], [2, 4]),
    "midpoint_l2": (
        [
            "--config=digits_midpoint",
            "--config.regularizer.name=l2",
            "--config.regularizer.args.factor=0.01",
        ],
        [2],
    ),
    "sgd_l1_six_microbatches": (
        [
            "--config=digits",
            "--config.optimizer.name=sgd",
            "--config.regularizer.name=l1",
            "--config.regularizer.args.l1=0.001",
            "--config.global_batch_size=48",
            "--config.virtual_replicas=6",
        ],
        [2, 3],
    ),
    "gan": (["--config=digits_gan"], [4]),
    "bfloat16": (["--config=digits", "--config.precision=bfloat16"], [2]),
    "xla_step": (["--config=digits", "--config.execution=xla_step"], [2]),
    "float16_with_overflows": (
        [
            "--config=digits",
            "--config.precision=float16",
            "--config.task.name=tests.engine.half_precision:Overflowing",
        ],
        [2],
    ),
    "rematerialized": (["--config=digits", "--config.model.remat=true"], [2]),
    "whole_batch": (["--config=digits_simclr"], [2, 4]),
    "whole_batch_xla_step": (["--config=digits_simclr", "--config.execution=xla_step"], [2]),
}
# Their steps are tested elsewhere; here they are whole runs.
SLOW = ("float16_with_overflows", "rematerialized", "whole_batch", "whole_batch_xla_step")


@pytest.mark.parametrize("case", [case for case in CASES if case not in SLOW])
def test_one_digest_on_any_number_of_replicas(case: str, tmp_path: pathlib.Path) -> None:
    check_replicas(case, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("case", SLOW)
def test_other_ways_to_one_digest_on_any_number_of_replicas(
    case: str, tmp_path: pathlib.Path
) -> None:
    check_replicas(case, tmp_path)


def check_replicas(case: str, tmp_path: pathlib.Path) -> None:
    args, placements = CASES[case]
    one = summary(tmp_path / "1", *args, *SHORT)
    for replicas in placements:
        more = summary(tmp_path / str(replicas), *args, *SHORT, f"--cpu_replicas={replicas}")
        assert more["replicas"] == replicas
        assert more["state_digest"] == one["state_digest"]
        assert (more["train"], more["eval"]) == (one["train"], one["eval"])


@pytest.mark.parametrize(
    "config",
    [
        "digits",
        pytest.param("digits_midpoint", marks=pytest.mark.slow),
        pytest.param("digits_gan", marks=pytest.mark.slow),
        pytest.param("digits_simclr", marks=pytest.mark.slow),
    ],
)
def test_two_worker_processes_match_one(config: str, tmp_path: pathlib.Path) -> None:
    one = summary(tmp_path / "one", f"--config={config}", *SHORT)
    two = summary(tmp_path / "two", f"--config={config}", *SHORT, workers=2)
    assert two["replicas"] == 2
    assert two["state_digest"] == one["state_digest"]
    assert two["eval"] == one["eval"]


def test_three_workers_match_one_where_gradients_travel_in_slices(tmp_path: pathlib.Path) -> None:
    args = [*SHORT, "--config.virtual_replicas=6", "--config.global_batch_size=48"]
    one = summary(tmp_path / "one", *args)
    three = summary(tmp_path / "three", *args, workers=3)
    assert three["replicas"] == 3
    assert three["state_digest"] == one["state_digest"]


def test_seed_and_microbatches_are_part_of_the_config(tmp_path: pathlib.Path) -> None:
    # Without these the equal digests above could be those of a run that ignores its config.
    plain = summary(tmp_path / "plain", *SHORT)
    seeded = summary(tmp_path / "seeded", *SHORT, "--config.seed=1")
    microbatches = summary(tmp_path / "microbatches", *SHORT, "--config.virtual_replicas=2")
    assert len({s["state_digest"] for s in (plain, seeded, microbatches)}) == 3


@pytest.mark.parametrize(
    "case",
    [
        "batch_norm_dropout_adam_clip",
        pytest.param("whole_batch", marks=pytest.mark.slow),
        pytest.param("float16_with_overflows", marks=pytest.mark.slow),
    ],
)
def test_resumed_on_other_replicas_matches_uninterrupted(case: str, tmp_path: pathlib.Path) -> None:
    args = [*CASES[case][0], *SHORT]
    whole = summary(tmp_path / "whole", *args)
    parts = tmp_path / "parts"
    stopped = summary(parts, *args, "--config.train_steps=12", "--config.checkpoint_every_steps=5")
    assert stopped["state_digest"] == whole["state_digest"]
    # Only the checkpoint of step 5 is left, as if the process had died in step 6.
    for path in (parts / "checkpoints").glob("step_*"):
        if path.name != "step_000000005":
            path.rename(parts / path.name)
    (parts / "summary.json").unlink()
    again = summary(parts, *args, "--config.checkpoint_every_steps=5", "--cpu_replicas=2")
    assert again["state_digest"] == whole["state_digest"]
    if case == "float16_with_overflows":
        assert whole["train"]["skipped_steps"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("execution", ["graph", "xla_step"])
def test_a_run_that_computes_its_model_again_ends_with_the_same_bits(
    execution: str, tmp_path: pathlib.Path
) -> None:
    args = [*SHORT, f"--config.execution={execution}"]
    kept = summary(tmp_path / "kept", *args)
    again = summary(tmp_path / "again", *args, "--config.model.remat=true")
    assert again["state_digest"] == kept["state_digest"]


def test_drop_on_plateau_is_the_same_everywhere_and_survives_a_restart(
    tmp_path: pathlib.Path,
) -> None:
    # The loss falls, so with mode=max every evaluation after the first is one without progress.
    rule = ["metric=loss", "mode=max", "patience=1", "factor=0.5"]
    args = [*SHORT, "--config.eval_every_steps=4", "--config.checkpoint_every_steps=5"]
    args += [f"--config.plateau.{setting}" for setting in rule]
    one = summary(tmp_path / "one", *args)
    two = summary(tmp_path / "two", *args, workers=2)
    assert one["state_digest"] == two["state_digest"]
    assert last_rate(tmp_path / "one") == last_rate(tmp_path / "two")
    newest = tmp_path / "one" / "checkpoints" / "step_000000012"
    newest.rename(tmp_path / "newest")
    again = summary(tmp_path / "one", *args)
    assert again["state_digest"] == one["state_digest"]
    assert last_rate(tmp_path / "one") == last_rate(tmp_path / "two")
    plain = summary(tmp_path / "plain", *SHORT)
    assert plain["state_digest"] != one["state_digest"]


def last_rate(workdir: pathlib.Path) -> float:
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [line["learning_rate"] for line in lines if "learning_rate" in line][-1]


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "midpoint"])
def test_the_whole_matrix(optimizer: str, tmp_path: pathlib.Path) -> None:
    args = [*SHORT, f"--config.optimizer.name={optimizer}", "--config.regularizer.name=l2"]
    args += ["--config.regularizer.args.factor=0.01", "--config.virtual_replicas=8"]
    one = summary(tmp_path / "1", *args)
    for replicas in (2, 4):
        more = summary(tmp_path / str(replicas), *args, f"--cpu_replicas={replicas}")
        assert more["state_digest"] == one["state_digest"]
    assert summary(tmp_path / "w", *args, workers=2)["state_digest"] == one["state_digest"]


def test_fast_reduction_stays_close(tmp_path: pathlib.Path) -> None:
    # Four: a sum of two is the same in either order.
    exact = summary(tmp_path / "exact", *SHORT, "--cpu_replicas=4")
    fast = summary(tmp_path / "fast", *SHORT, "--cpu_replicas=4", "--config.reduction=fast")
    assert fast["state_digest"] != exact["state_digest"]
    assert fast["train"]["loss"] == pytest.approx(exact["train"]["loss"], rel=1e-6)
    assert fast["eval"]["loss"] == pytest.approx(exact["eval"]["loss"], rel=1e-6)
