"""Random search and the rungs of halving: what is drawn, who goes on, and what is refused."""

import dataclasses
from pathlib import Path

import pytest
from command_line import RENDER, TRAINER, refused, rendered

from common.exit_codes import RunError
from launch.spec import halving, sweep
from launch.spec.halving import Halving, Rung

RANDOM = """
random:
  trials: {count}
  seed: 3
  fields:
    rate: {{log: [0.001, 0.5]}}
    width: {{whole: [4, 6]}}
    decay: {{uniform: [0, 1]}}
    kind: [a, b]
halving: {{metric: accuracy, factor: 2, train_steps: {steps}}}
"""


def load(tmp_path: Path, text: str, workdir: str = "runs/s"):
    path = tmp_path / "sweep.yaml"
    path.write_text(text)
    return sweep.load(path, workdir)


def drawn(tmp_path: Path, count: int) -> list[dict[str, str]]:
    trials, _ = load(tmp_path, RANDOM.format(count=count, steps=8))
    return [dict(arg.removeprefix("--config.").split("=") for arg in t[:-1]) for t in trials]


def test_draws_are_those_of_seed_trial_and_field(tmp_path):
    found = drawn(tmp_path, 40)
    assert drawn(tmp_path, 40) == found
    assert drawn(tmp_path, 3) == found[:3]  # more trials leave the first ones alone
    rates = sorted(float(one["rate"]) for one in found)
    assert 0.001 <= rates[0] < 0.01
    assert 0.1 < rates[-1] <= 0.5
    assert sum(rate < 0.0224 for rate in rates) in range(10, 31)  # half of them, in the logarithm
    assert {one["width"] for one in found} == {"4", "5", "6"}
    assert {one["kind"] for one in found} == {"a", "b"}
    assert len({one["decay"] for one in found}) == 40
    assert found[0]["rate"] == "0.00415662"  # the same on every machine and in every version


def test_the_rungs_are_those_of_a_bracket_of_hyperband():
    # Table 1 of the paper: R = 81, eta = 3; the bracket that begins with 81 configurations.
    assert halving.rungs(Halving("accuracy", 81), 81) == [
        Rung(1, 81),
        Rung(3, 27),
        Rung(9, 9),
        Rung(27, 3),
        Rung(81, 1),
    ]
    # And that whose first rung has 9 of 81: 9, 3 and 1.
    assert halving.rungs(Halving("accuracy", 81, least_steps=9), 9) == [
        Rung(9, 9),
        Rung(27, 3),
        Rung(81, 1),
    ]
    assert halving.rungs(Halving("loss", 100, factor=4, least_steps=100), 50) == [Rung(100, 50)]
    assert halving.rungs(Halving("loss", 1000, factor=2), 7) == [
        Rung(250, 7),
        Rung(500, 3),
        Rung(1000, 1),
    ]


def test_who_goes_on_is_the_best_and_of_equals_the_first():
    values = {0: 0.5, 1: None, 2: 0.9, 3: 0.5, 4: 0.1}
    rule = Halving("accuracy", 8)
    assert halving.ranking(rule, values) == [2, 0, 3, 4, 1]
    assert halving.chosen(rule, values, 2) == [0, 2]
    assert halving.chosen(dataclasses.replace(rule, mode="min"), values, 2) == [0, 4]
    assert halving.chosen(rule, values, 5) == [0, 2, 3, 4]  # who failed never goes on


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("random: {trials: 2}", "`random.fields` is missing"),
        ("random: {trials: 0, fields: {a: [1]}}", "`random.trials` is 0"),
        ("random: {trials: 2, seed: x, fields: {a: [1]}}", "`random.seed` is 'x'"),
        ("random: {trials: 2, fields: {a: 1}}", "write a list of values, or one of"),
        ("random: {trials: 2, fields: {a: {log: [0, 1]}}}", "low above 0"),
        ("random: {trials: 2, fields: {a: {whole: [1, 2.5]}}}", "write a list of values"),
        ("random: {trials: 2, sed: 1, fields: {a: [1]}}", "did you mean 'seed'"),
        ("list: [{}]\nhalving: {metric: loss}", "`halving.train_steps` is missing"),
        ("list: [{}]\nhalving: {metric: a, train_steps: 8, factor: 1}", "`halving.factor` is 1"),
        ("list: [{}]\nhalving: {metric: a, train_steps: 8, mode: up}", "max or min"),
        ("list: [{}]\nhalving: {metric: a, train_steps: 8, least: 1}", "did you mean 'least_"),
        ("list: [{epochs: 1}]\nhalving: {metric: a, train_steps: 8}", "take epochs out of them"),
        ("halving: {metric: a, train_steps: 8}", "exactly one of the keys"),
    ],
)
def test_a_wrong_search_is_refused(tmp_path, text, shown):
    with pytest.raises(RunError, match=shown):
        load(tmp_path, text)


def test_a_cluster_takes_random_search_and_refuses_halving(tmp_path, capsys):
    text = "random: {trials: 3, fields: {seed: {whole: [1, 9]}}}"
    (tmp_path / "s.yaml").write_text(text)
    parsed = rendered(capsys, *RENDER, f"--sweep={tmp_path / 's.yaml'}", *TRAINER)
    assert parsed[-1]["spec"]["completions"] == 3
    (tmp_path / "s.yaml").write_text(f"{text}\nhalving: {{metric: accuracy, train_steps: 9}}")
    code, said = refused(capsys, *RENDER, f"--sweep={tmp_path / 's.yaml'}", *TRAINER)
    assert code == 64
    assert "needs --backend=local: between two rungs" in said
