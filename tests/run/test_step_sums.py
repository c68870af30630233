import numpy as np

from trainer.engine.step_sums import StepSums, add


def _sums(values: np.ndarray, skipped: np.ndarray) -> StepSums:
    each = {"loss": values, "skipped": skipped}
    return StepSums(len(values), each, {"histogram": np.ones(3, np.float32)})


def test_totals_do_not_depend_on_the_calls() -> None:
    values = np.random.default_rng(0).lognormal(0, 9, 97).astype(np.float32)
    none = np.zeros(97, np.float32)
    whole = add(None, _sums(values, none))
    for cut in range(1, 96):
        parts = add(add(None, _sums(values[:cut], none[:cut])), _sums(values[cut:], none[cut:]))
        assert parts["loss"] == whole["loss"]


def test_skipped_steps_count_nowhere_else() -> None:
    totals = add(None, _sums(np.array([1, np.nan, 3], np.float32), np.array([0, 1, 0], np.float32)))
    assert (totals["loss"], totals["steps"], totals["skipped"]) == (4, 2, 1)
