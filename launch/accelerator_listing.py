"""The verb `accelerators`: the table, or every topology of one TPU."""

import dataclasses

from absl import flags

from common.exit_codes import ExitCode, RunError
from launch import accelerators, views
from launch.topologies import slices, vendor_type


def show(values: flags.FlagValues, operands: list[str], _: list[str]) -> int:
    """Prints the accelerator table, or every topology of one TPU."""
    if len(operands) > 1:
        raise RunError(ExitCode.BAD_FLAG, "`launch accelerators` takes one name at most")
    if not operands:
        rows = list(accelerators.TABLE.values())
        views.show([dataclasses.asdict(row) for row in rows], _overview(), values)
        return 0
    row = accelerators.find(operands[0])
    topologies = [dataclasses.asdict(one) | {"hosts": one.hosts} for one in slices(row)]
    views.show(dataclasses.asdict(row) | {"slices": topologies}, _details(row), values)
    return 0


def _overview() -> str:
    """The table for people, one line a row."""
    lines = [f"{'NAME':<11}{'DEVICE':<24}{'MEMORY':>8}  {'PER WORKER':<18}{'SLICES'}"]
    for row in accelerators.TABLE.values():
        memory = f"{row.memory_gib} GiB" if row.memory_gib else "-"
        counts = ", ".join(map(str, row.counts)) if row.memory_gib else "-"
        lines.append(
            f"{row.name:<11}{row.title:<24}{memory:>8}  {counts:<18}{_spread(row)}".rstrip()
        )
    return "\n".join(lines)


def _spread(row: accelerators.Accelerator) -> str:
    if not (found := slices(row)):
        return ""
    lacking = "" if row.tensorflow else "; no TensorFlow"
    return f"{len(found)} topologies, {found[0].topology} to {found[-1].topology}{lacking}"


def _details(row: accelerators.Accelerator) -> str:
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
