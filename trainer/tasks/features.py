"""The features that a task asks of the examples."""

from collections.abc import Mapping

from common.exit_codes import ExitCode, RunError
from trainer.data.info import Feature


def need(features: Mapping[str, Feature], **names: str | list[str] | dict[str, str]) -> None:
    """Refuse a feature that the examples do not have.

    Args:
        features: of the examples.
        **names: argument of the task -> feature that it asks for, or a list or dictionary of these.

    Raises:
        RunError: BAD_CONFIG naming the argument, its value and the features that there are.
    """
    asked = ((argument, name) for argument, them in names.items() for name in _each(them))
    for argument, name in asked:
        if name not in features:
            raise RunError(
                ExitCode.BAD_CONFIG,
                f"config.task.args.{argument}={name!r}: the examples have no such feature; "
                f"allowed: {', '.join(sorted(features))}",
            )


def _each(names: str | list[str] | dict[str, str]) -> list[str]:
    if isinstance(names, str):
        return [names]
    return list(names.values() if isinstance(names, Mapping) else names)
