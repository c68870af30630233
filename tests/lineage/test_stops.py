"""A run that ends early: at the same step everywhere, with all that a whole run leaves."""


def test_a_metric_that_gets_no_better_ends_a_run_at_the_same_step_everywhere(runs):
    one, two, killed, again = (runs["stops"][k] for k in ("one", "two", "killed", "again"))
    # Evaluations after steps 6, 9 and 12: the first is the best, and two are one too many.
    assert (one["step"], one["status"], one["ended_by"]) == (12, "stopped_early", "stop.metric")
    for other in (two, killed, again):
        assert (other["step"], other["status"]) == (one["step"], one["status"])
        assert other["state_digest"] == one["state_digest"]
    assert killed["lines"] == one["lines"]


def test_it_leaves_a_report_and_the_best_checkpoint(runs):
    one = runs["stops"]["one"]
    losses = {line["step"]: line["eval/loss"] for line in one["lines"] if "eval/loss" in line}
    best = max(losses, key=losses.get)  # as keep_best_mode says by default
    assert one["saved"] == sorted({best, 10, 12})
    assert "stopped early by stop.metric" in runs["stops"]["report"]
    assert one["train"] == {
        name.removeprefix("train/"): value
        for name, value in one["lines"][-1].items() if name.startswith("train/")
    }  # fmt: skip


def test_any_checkpoint_is_evaluated_as_the_run_has_done_it(runs):
    one, evaluated = runs["stops"]["one"], runs["stops"]["evaluated"]
    losses = {line["step"]: line["eval/loss"] for line in one["lines"] if "eval/loss" in line}
    for which in ("newest", "best"):
        assert evaluated[which]["loss"] == losses[evaluated[which]["step"]]
    assert evaluated["newest"]["step"] == 12
    assert evaluated["best"]["loss"] == max(losses.values())


def test_it_is_evaluated_on_other_examples_as_well(runs):
    elsewhere = runs["stops"]["elsewhere"]
    assert elsewhere["split"] == "train[:32]"
    assert elsewhere["loss"] != runs["stops"]["evaluated"]["newest"]["loss"]


def test_a_file_without_splits_is_evaluated_whole(runs):
    brought = runs["stops"]["brought"]
    assert brought == {**runs["stops"]["test"], "split": "train"}


def test_hours_that_are_over_end_a_run_and_it_stays_ended(runs):
    timed, again = runs["stops"]["timed"], runs["stops"]["timed again"]
    assert (timed["status"], timed["ended_by"]) == ("stopped_early", "stop.max_hours")
    assert 7 <= timed["step"] <= 10  # the first boundary after seven hours, one of them a step
    assert (again["step"], again["state_digest"]) == (timed["step"], timed["state_digest"])
    assert timed["eval"]


def test_the_step_is_recorded_and_a_replay_can_follow_it(runs):
    timed, replayed = runs["stops"]["timed"], runs["stops"]["replayed"]
    assert replayed["state_digest"] == timed["state_digest"]
    assert replayed["eval"] == timed["eval"]


def test_with_more_hours_it_goes_on_as_if_it_had_never_ended(runs):
    more, at_once = runs["stops"]["more hours"], runs["stops"]["at once"]
    assert (more["status"], more["state_digest"]) == ("done", at_once["state_digest"])
    assert more["lines"] == at_once["lines"]
