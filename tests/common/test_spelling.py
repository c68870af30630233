"""A wrong name is answered with the nearest right one, or with all of them."""

from common import spelling


def test_the_nearest_name_is_offered() -> None:
    assert spelling.did_you_mean("lerning_rate", ["seed", "learning_rate"]) == (
        "did you mean 'learning_rate'?"
    )
    assert spelling.unknown("verb", "submti", ["submit", "list"]) == (
        "verb 'submti' does not exist; did you mean 'submit'?"
    )


def test_without_a_near_one_all_are_named() -> None:
    assert spelling.did_you_mean("xyz", ["submit", "list"]) == ""
    assert spelling.unknown("verb", "xyz", ["submit", "list"]) == (
        "verb 'xyz' does not exist; allowed: list, submit"
    )
