"""Checks that every part a config names exists, before any of them is imported."""

from collections.abc import Iterator, Mapping

from trainer import registry
from trainer.config import TrainConfig


def check(config: TrainConfig) -> None:
    """Refuse the first name that is not registered and is no "module:object".

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
    for index, change in enumerate(config.augment):
        yield f"augment[{index}].name", registry.AUGMENTS, change.name
    optimizers = {"optimizer": config.optimizer}
    optimizers |= {f"optimizers.{role}": o for role, o in config.optimizers.items()}
    for field, optimizer in optimizers.items():
        yield f"{field}.name", registry.OPTIMIZERS, optimizer.name
        yield f"{field}.schedule.name", registry.SCHEDULES, optimizer.schedule.name
