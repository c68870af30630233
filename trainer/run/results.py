"""From sums over examples to the numbers that people read."""

from collections.abc import Mapping

import keras
import numpy as np

from trainer.engine.step_sums import Totals


def results(
    sums: Totals, metrics: Mapping[str, keras.metrics.Metric], num_steps: int
) -> dict[str, float]:
    """Return the mean loss, the value of every metric, and means over steps of the rest.

    Args:
        sums: of `num_steps` steps.
        metrics: name -> metric whose state the sums hold.
        num_steps: steps that were added up.
    """
    weight = float(sums["weight"])
    values = {"loss": float(sums["loss"]) / weight if weight else float("nan")}
    for name, metric in metrics.items():
        state = [
            np.asarray(sums[f"metric/{name}/{i}"], np.float32) for i in range(len(metric.variables))
        ]
        values[name] = float(metric.stateless_result(state))
    for name, value in sums.items():
        if name.startswith("gradient_norm/"):
            values[name.replace("/main", "")] = float(value) / max(1, num_steps)
    if sums.get("skipped"):
        values["skipped_steps"] = float(sums["skipped"])
    return values
