"""A run that starts from another: what it takes, what it refuses, and what it says of it."""

import pytest


@pytest.fixture(scope="module")
def found(runs):
    return runs["children"]


def test_the_child_of_a_killed_parent_is_that_of_an_undisturbed_one(found):
    one, other = found["of mother"], found["of killed"]
    assert other["state_digest"] == one["state_digest"]
    for field in ("digest", "step"):
        assert other["parent"][field] == one["parent"][field]
    assert found["on two"]["state_digest"] == one["state_digest"]


def test_the_same_weights_give_the_same_child_wherever_they_lie(found):
    for kind in ("of export", "of file"):
        assert found[kind]["state_digest"] == found["of mother"]["state_digest"]
    assert (found["of export"]["parent"]["step"], found["of file"]["parent"]["step"]) == (4, -1)


def test_a_parent_may_lie_in_a_bucket(found):
    assert found["of bucket"]["state_digest"] == found["step 2"]["state_digest"]
    assert found["of bucket"]["parent"]["digest"] == found["step 2"]["parent"]["digest"]


def test_a_child_starts_with_what_it_takes_and_nothing_else(found):
    assert set(found["start of child"].values()) == {0.0}
    kept = {name for name, moved in found["start of weights"].items() if moved}
    assert {name.rpartition("/")[2] for name in kept} == {"moving_mean", "moving_variance"}


def test_all_takes_slots_and_their_count_and_the_schedule_begins_anew(found):
    assert found["all"]["differs"] == []
    assert found["all"]["counts"] == [4, 8]
    assert found["all"]["rates"] == pytest.approx([0.003 * (1 - n / 4) for n in (1, 2, 3, 4)])


def test_a_checkpoint_is_chosen_by_name_and_by_step(found):
    assert found["best"]["parent"]["step"] == 4  # the loss falls
    assert found["step 2"]["parent"]["step"] == 2
    assert found["step 2"]["state_digest"] != found["best"]["state_digest"]
    assert "config.init.checkpoint=9" in found["step 9"]["refused"]
    assert "holds steps 4, 3, 2, 1" in found["step 9"]["refused"]


def test_what_only_one_of_both_has_is_refused_unless_it_is_named(found):
    refused = found["other head"]["refused"]
    assert "main/other/kernel is not in the parent" in refused
    assert "main/head/kernel is only in the parent" in refused
    assert "config.init.exclude" in refused
    # The refused config left the folder to the corrected one.
    assert found["named"]["state_digest"] == found["included"]["state_digest"]


def test_the_plan_lists_what_is_taken_and_what_is_not(found):
    plan = found["plan"]
    assert plan["variables taken"] == "6"
    assert plan["as the seed makes them"] == "main/other/kernel, main/other/bias"
    assert plan["left in the parent"] == "main/head/kernel, main/head/bias"
    assert found["best"]["parent"]["digest"][:16] in plan["started from"]


def test_another_shape_a_mistyped_path_and_a_missing_parent_are_one_line(found):
    assert (
        "main/dense/kernel is float32[64, 16] there and float32[64, 8]" in found["wider"]["refused"]
    )
    assert "'haed' names no variable; did you mean 'head'?" in found["mistyped"]["refused"]
    assert "is neither a workdir" in found["nowhere"]["refused"]
    assert {found[k]["code"] for k in ("wider", "mistyped", "nowhere", "step 9")} == {78}


def test_a_child_with_a_checkpoint_needs_its_parent_no_more(found):
    assert found["orphan"]["state_digest"] == found["of mother"]["state_digest"]
    digest = found["of mother"]["parent"]["digest"]
    assert digest[:16] in found["plan of orphan"]["started from"]


def test_ancestors_are_known_to_summary_config_and_report(found):
    parent = found["grandchild"]["parent"]
    assert parent["digest"] == found["of mother"]["state_digest"]
    assert [a["digest"] for a in parent["ancestors"]] == [found["of mother"]["parent"]["digest"]]
    assert found["config"] == parent
    assert f"({'step 4'}, {parent['digest'][:16]}) &lt;- " in found["report"]
