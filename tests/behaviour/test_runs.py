"""What a user asks of a run by a field of its config happens: short runs, all in one process."""

import json
import math
import subprocess
import sys

import pytest

from tests.behaviour import runs
from tests.processes import ROOT


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    command = [sys.executable, "-m", "tests.behaviour.runs", str(tmp_path_factory.mktemp("runs"))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def found(printed):
    return printed["runs"]


def test_an_operation_may_use_as_many_threads_as_was_asked(printed):
    assert printed["threads"] == runs.THREADS


@pytest.mark.parametrize("name", runs.RUNS)
def test_programs_can_read_what_a_run_writes(found, name):
    assert found[name]["faults"] == []


def test_training_is_logged_at_its_interval(found):
    assert found["boundaries"]["logged"] == [5, 8, 10, 12]


def test_a_tracker_is_told_every_line(found):
    assert found["boundaries"]["tracked"] == 4
    assert found["plateau"]["tracked"] == 0


def test_evaluation_comes_at_its_interval_and_before_training(found):
    assert found["boundaries"]["evaluated"] == [0, 3, 6, 9, 12]


def test_training_is_augmented_and_evaluation_is_not(found):
    before, after = found["augmented"]["losses"]
    assert before == found["boundaries"]["losses"][0]
    assert after != found["plateau"]["losses"][0]  # the same step on the images as they are


def test_checkpoints_come_at_their_interval_and_the_newest_are_kept(found):
    assert found["clipped"]["saved"] == [1, 2, 3]
    assert found["boundaries"]["saved"] == [8, 12]  # of 4, 8 and 12 two are kept


def test_the_best_checkpoint_by_the_metric_and_mode_is_kept(found):
    accuracies = found["plateau"]["accuracies"]
    worst, best = accuracies.index(min(accuracies)) + 1, accuracies.index(max(accuracies)) + 1
    assert worst != best
    assert worst < runs.STEPS
    assert found["plateau"]["saved"] == [worst, runs.STEPS]


def test_the_rate_drops_where_the_metric_stops_getting_better(found):
    # The loss falls, so that by mode=max the first is the best, and every second later one is one
    # too many: half the rate, and then no less than 0.3 of it.
    scales = [1.0] * 3 + [0.5] * 2 + [0.3] * 7
    assert found["plateau"]["rates"] == pytest.approx([0.003 * s for s in scales], rel=1e-6)


def test_a_change_below_min_delta_is_no_improvement(found):
    # The loss falls, but by less than is asked for: steps 6 and 9 are no better than step 3.
    scales = [1.0, 1.0, 0.1, 0.1]
    assert found["boundaries"]["rates"] == pytest.approx([0.003 * s for s in scales], rel=1e-6)


def test_the_rate_warms_up_and_follows_its_schedule(found):
    peak, last, warm = 0.1, 0.5, 4

    def rate(step):
        cosine = last + (1 - last) * (1 + math.cos(math.pi * step / runs.STEPS)) / 2
        return peak * cosine * min(1.0, (step + 1) / warm)

    expected = [rate(step) for step in range(1, runs.STEPS + 1)]
    assert found["schedule"]["rates"] == pytest.approx(expected, rel=1e-6)


def test_updates_are_clipped_and_the_optimizer_has_its_arguments(found):
    # By momentum 0.9 two clipped gradients in about the same direction add up; without, each
    # update would be as long as the clip.
    for moved in found["clipped"]["moved"]["main"]:
        assert 1.2 * runs.CLIP < moved < (1 + 0.9 + 0.81) * runs.CLIP


def test_each_optimizer_clips_by_its_own_norm(found):
    moved = found["two optimizers"]["moved"]
    assert moved["main"] == pytest.approx([runs.CLIP], rel=1e-3)
    assert moved["discriminator"] == pytest.approx([2 * runs.CLIP], rel=1e-3)


def test_bad_numbers_end_a_run_when_both_budgets_are_spent(found):
    # Steps 4, 5, 6; back to the weights of step 4; steps 7, 8, 9.
    assert "in 3 steps in a row up to step 10, after 1 rollbacks" in found["not finite"]["error"]
    assert len(found["not finite"]["skipped"]) == 6


def test_an_update_with_a_loss_spike_is_left_out(found):
    assert found["spike"]["skipped"] == ["loss spike"]
