"""The facts about accelerators, written down a second time, and the slices that follow."""

import dataclasses

import pytest

from launch.spec import names, topologies
from launch.spec.accelerators import TABLE

# Label of the node, GiB of a device, devices of a machine, cores and GiB of the host a device.
FACTS = {
    "cpu": ("", 0, (0,), 4, 16),
    "t4": ("nvidia-tesla-t4", 16, (1, 2, 4), 3, 12),
    "l4": ("nvidia-l4", 24, (1, 2, 4, 8), 10, 40),
    "a100-40": ("nvidia-tesla-a100", 40, (1, 2, 4, 8, 16), 5, 70),
    "a100-80": ("nvidia-a100-80gb", 80, (1, 2, 4, 8), 10, 150),
    "h100": ("nvidia-h100-80gb", 80, (1, 2, 4, 8), 24, 200),
    "h100-mega": ("nvidia-h100-mega-80gb", 80, (8,), 24, 200),
    "h200": ("nvidia-h200-141gb", 141, (8,), 26, 340),
    "b200": ("nvidia-b200", 180, (8,), 26, 460),
    "v4": ("tpu-v4-podslice", 32, (4,), 50, 85),
    "v5e": ("tpu-v5-lite-podslice", 16, (1, 4, 8), 20, 40),
    "v5p": ("tpu-v5p-slice", 95, (4,), 45, 95),
    "v6e": ("tpu-v6e-slice", 32, (1, 4, 8), 20, 150),
    "v7": ("tpu7x", 192, (4,), 50, 210),
}
FLAT = {
    "1x1": (1, 1, 1),
    "2x2": (4, 4, 1),
    "2x4": (8, 8, 1),
    "4x4": (16, 4, 4),
    "4x8": (32, 4, 8),
    "8x8": (64, 4, 16),
    "8x16": (128, 4, 32),
    "16x16": (256, 4, 64),
}
MOST_CHIPS = {"v4": 4096, "v5p": 6144, "v7": 9216}


def test_the_table_says_what_its_sources_say():
    found = {row.name: dataclasses.astuple(row)[3:8] for row in TABLE.values()}
    assert found == FACTS
    assert [row.name for row in TABLE.values() if not row.tensorflow] == ["v7"]
    kinds = {row.name: row.kind for row in TABLE.values()}
    assert {name for name, kind in kinds.items() if kind == "tpu"} == {
        "v4",
        "v5e",
        "v5p",
        "v6e",
        "v7",
    }
    assert {name for name, kind in kinds.items() if kind == "cpu"} == {"cpu"}


@pytest.mark.parametrize("name", ["v5e", "v6e"])
def test_flat_slices_have_eight_chips_on_one_host_and_four_on_each_of_several(name):
    rows = topologies.slices(TABLE[name])
    assert {row.topology: (row.chips, row.chips_per_host, row.hosts) for row in rows} == FLAT
    assert [row.topology for row in rows] == list(FLAT)


@pytest.mark.parametrize("name", MOST_CHIPS)
def test_cubes_have_four_chips_a_host_and_sides_that_grow(name):
    rows = topologies.slices(TABLE[name])
    most = MOST_CHIPS[name]
    assert [row.topology for row in rows[:5]] == ["2x2x1", "2x2x2", "2x2x4", "2x4x4", "4x4x4"]
    assert [row.chips for row in rows] == sorted(row.chips for row in rows)
    assert max(row.chips for row in rows) == most
    assert len({row.topology for row in rows}) == len(rows)
    for row in rows:
        a, b, c = map(int, row.topology.split("x"))
        assert (row.chips, row.chips_per_host, row.hosts) == (a * b * c, 4, a * b * c // 4)
        assert a <= b <= c or row.topology == "2x2x1"
    listed = {row.topology for row in rows[4:]}
    sides = range(4, most // 16 + 1, 4)
    assert listed == {
        f"{a}x{b}x{c}"
        for a in sides
        for b in sides
        for c in sides
        if a <= b <= c and a * b * c <= most
    }


@pytest.mark.parametrize(
    ("name", "topology", "called"),
    [
        ("v4", "2x2x2", "v4-16"),
        ("v5e", "4x4", "v5litepod-16"),
        ("v5p", "4x4x4", "v5p-128"),
        ("v6e", "2x4", "v6e-8"),
        ("v7", "2x2x1", "tpu7x-8"),
    ],
)
def test_vendors_count_cores_or_chips(name, topology, called):
    row = topologies.find_slice(TABLE[name], topology)
    assert topologies.vendor_type(TABLE[name], row) == called


def test_nothing_but_a_tpu_has_slices():
    assert [topologies.slices(row) for row in TABLE.values() if row.kind != "tpu"] == [()] * 9


@pytest.mark.parametrize(
    ("hint", "stem"),
    [
        ("digits", "digits"),
        ("My Exp_2", "my-exp-2"),
        ("2nd-try", "nd-try"),
        ("__", "run"),
        ("x" * 40, "x" * 30),
        ("a" * 29 + "--b", "a" * 29),
    ],
)
def test_a_random_name_begins_with_the_config_and_is_always_a_name(hint, stem):
    made = [names.generate(hint) for _ in range(20)]
    assert len(set(made)) == 20
    for name in made:
        assert name[:-6] == stem
        assert name[-6] == "-"
        assert set(name[-5:]) <= set("bcdfghjklmnpqrstvwxz2456789")
        names.check(name, "-0")
