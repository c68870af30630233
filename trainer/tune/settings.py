"""The settings that `tune` measures, and what it says about them; standard library only."""

import dataclasses
from collections.abc import Sequence

from trainer.config import TrainConfig

_NOTE = "Each has its own last bits: choose before a run, not within it."


@dataclasses.dataclass(frozen=True)
class Setting:
    """Fields of the config that change how fast a run is, and its last bits."""

    execution: str
    precision: str
    intra_op_threads: int

    @classmethod
    def of(cls, config: TrainConfig) -> "Setting":
        """Return that of a config."""
        return cls(config.execution, config.precision, config.intra_op_threads)

    def fields(self) -> list[tuple[str, str]]:
        """Return (field, value) as `--config.FIELD=VALUE` takes them."""
        return [(name, str(value)) for name, value in dataclasses.asdict(self).items()]


@dataclasses.dataclass(frozen=True)
class Measured:
    """What came of one setting.

    Attributes:
        steps_per_second: median over calls of the inner loop; 0 where it could not be measured.
        first_call_secs: time of the first call, which compiles.
        reason: why it could not be measured.
    """

    setting: Setting
    steps_per_second: float = 0.0
    first_call_secs: float = 0.0
    reason: str = ""


def candidates(config: TrainConfig, cores: int) -> list[Setting]:
    """Return what to try, the config's own setting first, those that keep its precision next."""
    threads = sorted({1, cores, config.intra_op_threads})
    tried = [Setting.of(config)]
    # float16 is for accelerators: not tried here unless asked for.
    for precision in dict.fromkeys((config.precision, "float32", "bfloat16")):
        for execution in ("xla_loop", "graph", "xla_step"):
            tried += [Setting(execution, precision, count) for count in threads]
    return list(dict.fromkeys(tried))


def report(found: Sequence[Measured], config: TrainConfig) -> str:
    """Return the table, the fastest first, and the lines to put into the config."""
    own = next(m for m in found if m.setting == Setting.of(config))
    ranked = sorted(found, key=lambda m: -m.steps_per_second)
    head = ("execution", "precision", "threads", "steps/s", "examples/s", "first call", "x config")
    rows = [_row(m, config.global_batch_size, own.steps_per_second) for m in ranked]
    lines = ["{:10} {:10} {:>7} {:>9} {:>11} {:>11} {:>9}".format(*head), *rows]
    same = [m for m in ranked if m.setting.precision == config.precision and m.steps_per_second]
    lines += _advice("fastest", same[0], own) if same else []
    if (best := ranked[0]).steps_per_second and same and best is not same[0]:
        lines += _advice(f"fastest in {best.setting.precision}, other numbers", best, own)
    return "\n".join([*lines, "", _NOTE])


def _row(measured: Measured, batch_size: int, own: float) -> str:
    s, rate = measured.setting, measured.steps_per_second
    row = f"{s.execution:10} {s.precision:10} {s.intra_op_threads:>7} "
    if not rate:
        return row + f"not measured: {measured.reason}"
    ratio = f"{rate / own:.2f}" if own else "-"
    first = f"{measured.first_call_secs:.1f} s"
    return row + f"{rate:>9,.0f} {rate * batch_size:>11,.0f} {first:>11} {ratio:>9}"


def _advice(title: str, best: Measured, own: Measured) -> list[str]:
    if best is own:
        return ["", f"{title}: what the config says"]
    changed = set(best.setting.fields()) - set(own.setting.fields())
    assigned = [
        f"    {name}={value!r}," if not value.isdigit() else f"    {name}={value},"
        for name, value in best.setting.fields()
        if (name, value) in changed
    ]
    return ["", f"{title}; in the config:", *assigned]
