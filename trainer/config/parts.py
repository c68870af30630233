"""Whether the parts that a config names exist, and take the arguments that it gives them."""

import inspect
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from common.exit_codes import ExitCode, RunError
from trainer import registry
from trainer.config.fields import PartConfig, TrainConfig

_ANY = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def check_names(config: TrainConfig) -> None:
    """Refuse the first name that is neither registered nor "module:object"; nothing is imported.

    Raises:
        RunError: BAD_CONFIG naming the field and the nearest name.
    """
    for field, table, name in names(config):
        registry.check(table, name, f"config.{field}")


def names(config: TrainConfig) -> Iterator[tuple[str, Mapping[str, str], str]]:
    """Give the field, its table and its value for every part but the dataset."""
    yield "task.name", registry.TASKS, config.task.name
    yield "model.name", registry.MODELS, config.model.name
    for role, model in config.models.items():
        yield f"models.{role}.name", registry.MODELS, model.name
    yield "loss.name", registry.LOSSES, config.loss.name
    if config.regularizer:
        yield "regularizer.name", registry.REGULARIZERS, config.regularizer.name
    for index, metric in enumerate(config.metrics):
        yield f"metrics[{index}].name", registry.METRICS, metric.name
    for index, tracker in enumerate(config.trackers):
        yield f"trackers[{index}].name", registry.TRACKERS, tracker.name
    for index, change in enumerate(config.augment):
        yield f"augment[{index}].name", registry.AUGMENTS, change.name
    optimizers = {"optimizer": config.optimizer}
    optimizers |= {f"optimizers.{role}": o for role, o in config.optimizers.items()}
    for field, optimizer in optimizers.items():
        yield f"{field}.name", registry.OPTIMIZERS, optimizer.name
        yield f"{field}.schedule.name", registry.SCHEDULES, optimizer.schedule.name


def bind(
    found: Any, part: PartConfig, field: str, *given: Any, **named: Any
) -> inspect.BoundArguments:
    """Return the arguments of a call of `found`, without calling it.

    Args:
        found: what the name of the part stands for, a function or class.
        part: of the config; its `args` come after what every part of its kind is given.
        field: of the config that holds the part, for the message.
        *given: what comes first, by position.
        **named: what is given by name.

    Raises:
        RunError: BAD_CONFIG naming the field, the arguments and those that are allowed.
    """
    try:
        return inspect.signature(found).bind(*given, **named, **part.args)
    except (TypeError, ValueError) as error:
        names = [name for name in _names(found)[len(given) :] if name not in named]
        raise _refusal(part, field, error, names) from error


def call(found: Any, part: PartConfig, field: str, *given: Any) -> Any:
    """Return `found(*given, **part.args)`; raises as `bind`, and the errors of the part itself."""
    bind(found, part, field, *given)
    try:
        return found(*given, **part.args)
    except ValueError as error:
        # Keras takes any argument, and looks at names and values later. A custom part
        # may have a bug instead, whose line is told.
        if str(getattr(found, "__module__", "")).partition(".")[0] == "keras":
            raise _refusal(part, field, error, _names(found)[len(given) :]) from error
        raise


def _refusal(part: PartConfig, field: str, reason: object, names: Iterable[str]) -> RunError:
    allowed = ", ".join(names) or "none"
    return RunError(
        ExitCode.BAD_CONFIG, f"{field}.args={part.args}: {reason}; arguments: {allowed}"
    )


def _names(found: Any) -> list[str]:
    try:
        parameters = inspect.signature(found).parameters
    except (TypeError, ValueError):
        return []  # no function, or one that does not say what it takes
    return [name for name, parameter in parameters.items() if parameter.kind not in _ANY]
