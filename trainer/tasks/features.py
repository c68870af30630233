"""The features that a task asks of the examples."""

from collections.abc import Mapping

from common.exit_codes import ExitCode, RunError
from trainer.data.info import Feature


def need(features: Mapping[str, Feature], **names: str) -> None:
    """Refuse a feature that the examples do not have.

    Args:
        features: of the examples.
        **names: argument of the task -> name of the feature that it asks for.

    Raises:
        RunError: BAD_CONFIG naming the argument, its value and the features that there are.
    """
    for argument, name in names.items():
        if name not in features:
            raise RunError(
                ExitCode.BAD_CONFIG,
                f"config.task.args.{argument}={name!r}: the examples have no such feature; "
                f"allowed: {', '.join(sorted(features))}",
            )
