"""How many classes a label has, from the values that it takes."""

import json

from common.exit_codes import ExitCode, RunError
from trainer.config import DatasetConfig

_MANY_CLASSES = 1000


def count(
    name: str, config: DatasetConfig, *, lowest: int, where: str, highest: int, num_examples: int
) -> int:
    """Return the number of classes of a label.

    Args:
        name: of the feature.
        config: which may say that the numbers are classes, however many.
        lowest: value; one below 0 is no class.
        where: the place of the lowest value.
        highest: value of all.
        num_examples: of all splits together.

    Raises:
        RunError: BAD_DATA for a class below 0, BAD_CONFIG where these are no classes, it seems.
    """
    if lowest < 0:
        raise RunError(
            ExitCode.BAD_DATA,
            f"config.dataset.name: {where} is {lowest}; a label is 0 or more; {_a_target(name)}",
        )
    found = highest + 1
    if found > max(num_examples, _MANY_CLASSES) and config.roles.get(name) != "label":
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"config.dataset.name: feature {name!r}: {found} classes for {num_examples} examples? "
            f'{_a_target(name)}; if they are classes, "label"',
        )
    return found


def _a_target(name: str) -> str:
    line = json.dumps({name: "target"})
    return f"if it is a number and no class, write --config.dataset.roles='{line}'"
