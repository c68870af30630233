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
    recorded = page.recorded()[kind]
    missing = {name for name in classes(kind) if set(page.MODES) - set(recorded.get(name, {}))}
    assert not missing, f"decide: python -m tests.keras_parts.page {kind}"
    assert not set(recorded) - set(classes(kind))


def test_no_class_is_silently_different():
    rows = [(k, n, *v) for k, f in page.recorded().items() for n, m in f.items() for v in m.items()]
    assert [row for row in rows if row[3][0] not in ("Equal", "Refused")] == []


def test_the_page_is_current():
    assert page.PAGE.read_text() == page.text(page.recorded())


def test_the_verdicts_of_a_sample_are_found_again():
    recorded = page.recorded()
    for kind, found in page.verdicts(SAMPLE, "float32").items():
        for name, verdict in found.items():
            assert verdict == recorded[kind][name]["float32"], name


@pytest.mark.parametrize(
    ("one", "two", "why"),
    [
        ({"digest": "a"}, {"digest": "b"}, "two replicas differ"),
        ({"digest": "a", "keras": 0.1}, {"digest": "a"}, "differs from Keras"),
        ({"digest": "a", "keras": float("nan")}, {"digest": "a"}, "differs from"),
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
    found = page.battery(what, 2, "xla_step")
    lookup, rotation = (found["layers", one.partition(".")[2]]["refused"] for one in what)
    assert "XLA cannot compile AsString" in lookup
    assert "random_rotation_1/ImageProjectiveTransformV3: XLA cannot" in rotation
    assert "config.execution='graph'" in rotation


@pytest.mark.slow
@pytest.mark.timeout(7200)
class EveryClass:
    """The whole battery in one mode: minutes, which the modes' classes share between processes."""

    mode = ""

    @pytest.mark.parametrize("kind", KINDS)
    def test_the_verdicts_of_all_classes_are_found_again(self, kind):
        found = page.verdicts([kind], self.mode)[kind]
        assert {n: v for n, v in found.items() if v[0] == "Failed"} == {}
        recorded = page.recorded()[kind]
        assert found == {name: recorded[name].get(self.mode, found[name]) for name in found}


class TestInFloat32(EveryClass):
    mode = "float32"


class TestInBfloat16(EveryClass):
    mode = "bfloat16"


class TestInXlaStep(EveryClass):
    mode = "xla_step"


def test_every_mode_is_tried():
    assert {each.mode for each in EveryClass.__subclasses__()} == set(page.MODES)
