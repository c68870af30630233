"""More steps in the same workdir: the run that was that long from the start, or a refusal."""

import pytest


def test_a_run_that_grew_twice_is_the_one_that_was_that_long_from_the_start(runs):
    whole, grown = runs["longer"]["whole"], runs["longer"]["grown"]
    assert grown["state_digest"] == whole["state_digest"]
    assert (grown["step"], grown["eval"], grown["train"]) == (20, whole["eval"], whole["train"])


def test_what_was_done_only_at_an_earlier_end_leaves_no_trace(runs):
    # Steps 7 and 13 are no boundaries: each was the last one, logged, evaluated, perhaps the best.
    whole, grown = runs["longer"]["whole"], runs["longer"]["grown"]
    assert grown["lines"] == whole["lines"]
    # The best and the newest three; a checkpoint of an earlier end is one as any other.
    assert (whole["saved"], grown["saved"]) == ([8, 10, 15, 20], [8, 13, 15, 20])
    assert {7, 13}.isdisjoint(line["step"] for line in grown["lines"])


def test_every_example_is_served_where_the_longer_run_serves_it(runs):
    whole, grown = runs["longer"]["whole"], runs["longer"]["grown"]
    assert grown["examples"] == whole["examples"]


def test_fewer_steps_than_were_made_are_refused(runs):
    shorter = runs["longer"]["shorter"]
    assert "holds step 20, and the config ends at step 10" in shorter["refused"]
    assert shorter["code"] == 78


@pytest.mark.parametrize("name", ["exponentialdecay_steps", "halvedevery"])
def test_a_schedule_that_does_not_follow_the_end_goes_on(runs, name):
    found = runs["longer"]["schedules"][name]
    assert found["state_digest"] == found["once"]


@pytest.mark.parametrize("name", ["cosine", "exponential", "to_zero"])
def test_one_that_does_is_refused_with_the_way_to_a_child(runs, name):
    refused = runs["longer"]["schedules"][name]["refused"]
    assert f"{name}' depend on where the run ends" in refused
    assert "--config.init.from=" in refused
    assert "holds a run of 3 steps" in refused
