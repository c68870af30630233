"""The slices of every TPU: topology, chips, chips of each host, hosts.

Sources: the TPU pages of the Google Kubernetes Engine documentation.
"""

import dataclasses
import functools
import itertools
import math

from launch.spec.accelerators import Accelerator
from launch.spec.user_input import bad_flag


@dataclasses.dataclass(frozen=True)
class Slice:
    """One TPU topology: how many chips it has and how they are spread over hosts."""

    topology: str
    chips: int
    chips_per_host: int

    @property
    def hosts(self) -> int:
        """The number of machines, and so of workers."""
        return self.chips // self.chips_per_host


_FLAT = ("1x1", "2x2", "2x4", "4x4", "4x8", "8x8", "8x16", "16x16")
_SMALL_CUBES = ("2x2x1", "2x2x2", "2x2x4", "2x4x4")


@functools.cache
def slices(accelerator: Accelerator) -> tuple[Slice, ...]:
    """Every topology of a TPU, smallest first; empty for anything else.

    v5e and v6e are flat meshes, with up to 8 chips on a single host and 4 a host beyond that.
    v4, v5p and v7 are three-dimensional: four small shapes on hosts of 4 chips, then every
    A <= B <= C of multiples of 4 up to the largest slice.
    """
    if accelerator.kind != "tpu":
        return ()
    if 1 in accelerator.counts:
        return tuple(_slice(topology, min(_chips(topology), 8)) for topology in _FLAT)
    cubes = (*_SMALL_CUBES, *_large_cubes(accelerator.max_chips))
    return tuple(sorted((_slice(topology, 4) for topology in cubes), key=lambda row: row.chips))


def find_slice(accelerator: Accelerator, topology: str) -> Slice:
    """The slice of this topology.

    Raises:
        RunError: the accelerator has no such topology; BAD_FLAG with the nearest ones.
    """
    rows = slices(accelerator)
    for row in rows:
        if row.topology == topology:
            return row
    nearest = sorted(rows, key=lambda row: abs(row.chips - _chips_or_one(topology.lower())))[:3]
    asked = f"has no topology {topology!r}" if topology else "needs a topology"
    raise bad_flag(
        f"{accelerator.title} {asked}; nearest: {', '.join(row.topology for row in nearest)} "
        f"(--topology; `launch accelerators {accelerator.name}` lists all)"
    )


def vendor_type(accelerator: Accelerator, row: Slice) -> str:
    """The vendor's name of a slice: v4, v5p and v7 count TensorCores, v5e and v6e chips."""
    prefix = {"v5e": "v5litepod", "v7": "tpu7x"}.get(accelerator.name, accelerator.name)
    return f"{prefix}-{row.chips * accelerator.tensorcores}"


def _slice(topology: str, chips_per_host: int) -> Slice:
    chips = _chips(topology)
    return Slice(topology, chips, chips_per_host if chips <= chips_per_host else 4)


def _chips(topology: str) -> int:
    return math.prod(int(side) for side in topology.split("x"))


def _chips_or_one(topology: str) -> int:
    sides = topology.split("x")
    return _chips(topology) if all(side.isdecimal() and len(side) < 5 for side in sides) else 1


def _large_cubes(max_chips: int) -> list[str]:
    sides = range(4, max_chips // 16 + 1, 4)
    shapes: list[str] = []
    for a, b in itertools.combinations_with_replacement(sides, 2):
        if a * b * b > max_chips:
            continue
        shapes += [f"{a}x{b}x{c}" for c in range(b, max_chips // (a * b) + 1, 4)]
    return shapes
