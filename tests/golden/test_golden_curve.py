"""One hundred steps, to the last bit on the processors that are recorded (R18)."""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

import pytest

from tests.golden import record
from tests.golden.smooth import get_config
from trainer.version import kind_of_cpu

RECORDED = json.loads(record.CURVES.read_text())
AGREES = {"digits": 0.05, "smooth": 1e-5}
"""Relative tolerance between processors.

`digits` has ReLU, ties of maxima and Adam: one unit that rounds to the other side moves it by per
cents. `smooth` has nothing of the kind: SSE4.1, AVX and AVX2 kernels, oneDNN or not, differed by
1e-7.
"""


@pytest.fixture(scope="module")
def measured() -> dict[str, Any]:
    return {name: record.measure(name) for name in record.EXPERIMENTS}


def test_hundred_steps_are_what_they_were(measured: Mapping[str, Any]) -> None:
    kind = kind_of_cpu()
    if kind in RECORDED:
        assert measured == RECORDED[kind]
    else:
        print(f"recorded on {', '.join(RECORDED)}; this is {kind}: bits are not compared")


@pytest.mark.parametrize("kind", RECORDED)
def test_any_processor_comes_close(measured: Mapping[str, Any], kind: str) -> None:
    for experiment, curve in RECORDED[kind].items():
        numbers = measured[experiment]["values"]
        assert curve["values"].keys() <= numbers.keys()
        for place, number in curve["values"].items():
            expected = pytest.approx(float.fromhex(number), rel=AGREES[experiment])
            assert float.fromhex(numbers[place]) == expected, (experiment, place)


def test_the_curve_that_must_agree_has_norms_on_both_sides_of_the_clip() -> None:
    curves = [kinds["smooth"]["values"] for kinds in RECORDED.values() if "smooth" in kinds]
    norms = [float.fromhex(x) for place, x in curves[0].items() if place.endswith("_norm")]
    assert min(norms) < get_config().optimizer.clip_norm < max(norms)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("processor\t: 0\nFeatures\t: fp asimd sve\nCPU part\t: 0xd40\n", "? ? ? other"),
        (
            "vendor_id\t: V\ncpu family\t: 6\nmodel\t: 9\nflags\t: amx_tile sse avx2 avx512f\n",
            "V 6 9 avx2 avx512f amx_tile",
        ),
        (None, "? ? ? other"),
    ],
    ids=["arm", "x86", "no such file"],
)
def test_any_machine_is_of_some_kind(text, kind, tmp_path: pathlib.Path):
    # It is asked while tests are collected.
    if text is not None:
        (tmp_path / "cpuinfo").write_text(text)
    assert kind_of_cpu(tmp_path / "cpuinfo") == kind
