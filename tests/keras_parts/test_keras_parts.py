"""Every class of Keras is as in Keras, on any number of replicas, or is refused by name."""

import pytest

from tests.keras_parts import page
from tests.keras_parts.classes import KINDS, classes

# One for each way to be right or refused; the slow test trains with every class.
SAMPLE = [
    "layers.AlphaDropout",
    "layers.BatchNormalization",
    "layers.SpectralNormalization",
    "layers.TFSMLayer",
    "losses.Circle",
    "losses.Dice",
    "metrics.AUC",
    "optimizers.LossScaleOptimizer",
    "optimizers.Nadam",
    "regularizers.OrthogonalRegularizer",
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_class_has_a_verdict(kind):
    missing = set(classes(kind)) ^ set(page.recorded()[kind])
    assert not missing, f"decide: python -m tests.keras_parts.page {kind}"


def test_no_class_is_silently_different():
    rows = [(k, n, *v) for k, found in page.recorded().items() for n, v in found.items()]
    assert [row for row in rows if row[2] not in ("Equal", "Refused", "Pending")] == []


def test_the_page_is_current():
    assert page.PAGE.read_text() == page.text(page.recorded())


def test_the_verdicts_of_a_sample_are_found_again():
    recorded = page.recorded()
    for kind, found in page.verdicts(SAMPLE).items():
        for name, verdict in found.items():
            assert verdict == recorded[kind][name], name


@pytest.mark.parametrize(
    ("one", "two", "why"),
    [
        ({"digest": "a", "loss": 1.0}, {"digest": "b", "loss": 1.0}, "two replicas differ"),
        ({"digest": "a", "keras": 0.1, "loss": 1.0}, {"digest": "a"}, "differs from Keras"),
        ({"digest": "a", "keras": float("nan"), "loss": 1.0}, {"digest": "a"}, "differs from"),
        ({"error": "KeyError: 1"}, {"error": "KeyError: 1"}, "KeyError"),
        ({"refused": "a"}, {"digest": "a"}, "refused"),
    ],
)
def test_what_is_neither_equal_nor_refused_fails(one, two, why):
    verdict, reason = page.verdict(one, two)
    assert verdict == "Failed"
    assert why in reason


def test_what_xla_cannot_compile_is_refused_by_operation_and_layer():
    what = ["layers.StringLookup", "layers.RandomRotation"]
    found = page.battery(what, 1, execution="xla_step")
    lookup, rotation = (found["layers", one.partition(".")[2]]["refused"] for one in what)
    assert "XLA cannot compile AsString" in lookup
    assert "random_rotation_1/ImageProjectiveTransformV3: XLA cannot" in rotation
    assert "config.execution='graph'" in rotation


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", KINDS)
def test_the_verdicts_of_all_classes_are_found_again(kind):
    assert page.verdicts([kind])[kind] == page.recorded()[kind]


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("kind", "precision", "execution"),
    [
        ("optimizers", "float32", "xla_step"),
        ("layers", "float32", "xla_step"),
        ("layers", "bfloat16", "graph"),
    ],
)
def test_two_replicas_match_one_in_other_modes(kind, precision, execution):
    one, two = (page.battery([kind], replicas, precision, execution) for replicas in (1, 2))
    found = {name: page.verdict(row, two[kind, name]) for (_, name), row in one.items()}
    assert {n: v for n, v in found.items() if v[0] == "Failed"} == {}
