"""The verb `accelerators`: the table, or every topology of one TPU."""

import dataclasses
from argparse import Namespace

from launch.cli.views import show
from launch.spec.accelerators import TABLE, Accelerator, find
from launch.spec.topologies import slices, vendor_type


def show_accelerators(values: Namespace) -> int:
    """Prints the accelerator table, or every topology of one TPU."""
    if not values.operands:
        show([dataclasses.asdict(row) for row in TABLE.values()], _overview(), values)
        return 0
    row = find(values.operands[0])
    topologies = [dataclasses.asdict(one) | {"hosts": one.hosts} for one in slices(row)]
    show(dataclasses.asdict(row) | {"slices": topologies}, _details(row), values)
    return 0


def _overview() -> str:
    """The table for people, one line a row."""
    lines = [f"{'NAME':<11}{'DEVICE':<24}{'MEMORY':>8}  {'PER WORKER':<18}{'SLICES'}"]
    for row in TABLE.values():
        memory = f"{row.memory_gib} GiB" if row.memory_gib else "-"
        counts = ", ".join(map(str, row.counts)) if row.memory_gib else "-"
        lines.append(
            f"{row.name:<11}{row.title:<24}{memory:>8}  {counts:<18}{_spread(row)}".rstrip()
        )
    return "\n".join(lines)


def _spread(row: Accelerator) -> str:
    if not (found := slices(row)):
        return ""
    lacking = "" if row.tensorflow else "; no TensorFlow"
    return f"{len(found)} topologies, {found[0].topology} to {found[-1].topology}{lacking}"


def _details(row: Accelerator) -> str:
    """One accelerator for people, with every topology of a TPU."""
    counts = ", ".join(map(str, row.counts))
    lines = [f"{row.title}: node label {row.gke_label or '-'}, {counts} a worker"]
    if found := slices(row):
        lines.append(f"{'TOPOLOGY':<12}{'CHIPS':>6}{'PER HOST':>10}{'HOSTS':>7}  VENDOR TYPE")
    lines += [
        f"{one.topology:<12}{one.chips:>6}{one.chips_per_host:>10}{one.hosts:>7}  "
        f"{vendor_type(row, one)}"
        for one in found
    ]
    return "\n".join(lines)
