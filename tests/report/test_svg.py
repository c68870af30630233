"""Charts: axes, powers of ten, what is left out."""

import re

import pytest

from trainer.report.svg import line_chart, round_numbers, scatter


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 1, [0, 0.5, 1]),
        (47, 1408, [0, 500, 1000, 1500]),
        (0.767, 1.0, [0.7, 0.8, 0.9, 1.0]),
        (3, 3, [2.5, 3.0, 3.5]),
    ],
)
def test_axes_are_marked_with_round_numbers(low: float, high: float, ticks: list[float]) -> None:
    assert round_numbers(low, high) == pytest.approx(ticks)


def test_a_loss_is_drawn_by_its_powers_of_ten() -> None:
    drawn = line_chart("loss", {"a": [(0, 1.0), (1, 0.1), (2, 0.01)]}, log=True)
    (points,) = re.findall(r'points="([^"]*)"', drawn)
    first, second, third = (float(pair.partition(",")[2]) for pair in points.split())
    assert second - first == pytest.approx(third - second, abs=0.2)
    assert line_chart("loss", {"a": [(0, 1.0), (1, -0.1)]}, log=True).count("<polyline") == 1


def test_chart_leaves_out_what_is_not_finite() -> None:
    drawn = line_chart("loss", {"a": [(0, 1.0), (1, float("nan")), (2, 3.0)]})
    (points,) = re.findall(r'points="([^"]*)"', drawn)
    assert len(points.split()) == 2
    assert line_chart("loss", {"a": [(0, float("inf"))]}) == ""


def test_rates_of_a_sweep_lie_by_their_powers_of_ten() -> None:
    drawn = scatter("loss by rate", {"a": (1e-4, 1.0), "b": (1e-3, 2.0), "<c>": (1e-2, 3.0)})
    places = [float(x) for x in re.findall(r'cx="([^"]*)"', drawn)]
    assert places[1] - places[0] == pytest.approx(places[2] - places[1], abs=0.2)
    assert 'data-name="&lt;c&gt;"' in drawn
    assert scatter("nothing", {"a": (1.0, float("nan"))}) == ""
