"""Builds what a config names. The only file below the loop that reads the whole config."""

import functools
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from common.exit_codes import ExitCode, RunError
from trainer import model_inputs, ownership, precision, registry, user_code
from trainer.config import OptimizerConfig, PartConfig, TrainConfig, parts
from trainer.data.info import Feature
from trainer.engine import segments
from trainer.engine.optimizer import backend_neutral, build_slots, count_from_parent, set_groups
from trainer.engine.rehearsal import rehearse
from trainer.engine.step import StepPlan
from trainer.engine.variable_paths import by_path, fits_any, refuse_idle
from trainer.losses.from_keras import adapted
from trainer.optimizers import schedules
from trainer.optimizers.loss_scale import LossScale
from trainer.optimizers.loss_spike import LossSpike
from trainer.optimizers.unusable import refuse_unusable
from trainer.optimizers.weight_average import WeightAverage
from trainer.task import Parts, Task


def build_task(
    config: TrainConfig,
    features: Mapping[str, Feature],
    *,
    total_steps: int,
    rate_scale: keras.Variable | None = None,
    is_eager: bool = False,
) -> Task:
    """Build models, optimizers, metrics and loss; call it in the scope of the strategy.

    Args:
        config: what to build.
        features: of the examples as the step sees them.
        total_steps: updates in the whole run, for learning-rate schedules.
        rate_scale: float32[] factor on every learning rate, for a run that lowers it.
        is_eager: whether the step will run as Python, and may not be traced.
    """
    if rate_scale is None:
        rate_scale = keras.Variable(1.0, trainable=False, name="rate_scale")
    # Initializers and seed generators take their seeds from Python's generator; the user's take
    # them from NumPy's or TensorFlow's, too.
    keras.utils.set_random_seed(config.seed)
    precision.set_policy(config.precision)
    kind: type[Task] = registry.resolve(registry.TASKS, config.task.name, "config.task.name")
    parts.bind(kind, config.task, "config.task", None)
    models = {
        role: _model(config, role, *shape, features)
        for role, shape in _model_shapes(kind, config, features).items()
    }
    built = Parts(
        models=models,
        optimizers=_optimizers(config, models, total_steps, rate_scale),
        metrics=_metrics(config.metrics),
        loss=_loss(config.loss),
        regularizer=_regularizer(config.regularizer),
        average=WeightAverage(models, config.ema_decay) if config.ema_decay else None,
        loss_spike=LossSpike(config.loss_spike) if config.loss_spike else None,
        loss_scale=LossScale() if config.precision == "float16" else None,
    )
    task = kind(built, **config.task.args)
    precision.refuse_other_policies(task, config.precision)
    rehearse(
        task,
        features,
        config.global_batch_size // config.virtual_replicas,
        virtual_replicas=config.virtual_replicas,
        evaluated=bool(config.dataset.eval_split or config.dataset.holdout),
        is_eager=is_eager,
    )
    return task


def _model_shapes(
    kind: type[Task], config: TrainConfig, features: Mapping[str, Feature]
) -> Mapping[str, tuple[Any, Any]]:
    parts.bind(kind.model_shapes, config.task, "config.task", None)
    shapes = kind.model_shapes(features, **config.task.args)
    if not isinstance(shapes, Mapping) or any(
        not isinstance(one, tuple | list) or len(one) != 2 for one in shapes.values()
    ):
        place = user_code.defined(kind.model_shapes) or "config.task"
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"{place}: {kind.__name__}.model_shapes returned {reprlib.repr(shapes)}; return role "
            "-> (input, number of outputs): {'main': (features['image'], 10)}",
        )
    return shapes


def step_plan(config: TrainConfig) -> StepPlan:
    """Return what the step needs to know of the config."""
    roles = {"main": config.optimizer, **config.optimizers}
    return StepPlan(
        seed=config.seed,
        virtual_replicas=config.virtual_replicas,
        reduction=config.reduction,
        execution=config.execution,
        clip_norms={role: o.clip_norm for role, o in roles.items() if o.clip_norm},
    )


def _model(
    config: TrainConfig, role: str, given: Any, num_outputs: Any, features: Mapping[str, Feature]
) -> keras.Model:
    field = f"config.{_field(role, 'model')}"
    part = config.model if role == "main" else config.models.get(role)
    if part is None:
        raise RunError(ExitCode.BAD_CONFIG, f"{field} is missing: the task needs it")
    model = _call(registry.MODELS, part, field, model_inputs.shapes(given), num_outputs)
    if not isinstance(model, keras.Model):
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"{field}.name={part.name!r} returned {type(model).__name__}; return a keras.Model",
        )
    task = registry.resolve(registry.TASKS, config.task.name, "config.task.name")
    if not user_code.defined(task):  # else it may well do what the model says
        model_inputs.refuse_ignored_methods(model, field)
    model = model_inputs.with_inputs(model, given, features, field)
    if part.remat:
        segments.cut(model, field)
    model_inputs.refuse_rounded_ids(model, given, config.precision, field)
    return model


def _optimizers(
    config: TrainConfig,
    models: Mapping[str, keras.Model],
    total_steps: int,
    rate_scale: keras.Variable,
) -> dict[str, keras.optimizers.Optimizer]:
    for role in config.optimizers:
        if role not in models:
            raise RunError(
                ExitCode.BAD_CONFIG,
                f"config.optimizers.{role}: the task has no such model; "
                f"allowed: {', '.join(models)}",
            )
    keeps_count = bool(config.init.from_) and config.init.what == "all"
    return {
        role: _optimizer(one, models[role], total_steps, rate_scale, role, keeps_count=keeps_count)
        for role, one in {"main": config.optimizer, **config.optimizers}.items()
    }


def _optimizer(
    config: OptimizerConfig,
    model: keras.Model,
    total_steps: int,
    rate_scale: keras.Variable,
    role: str,
    *,
    keeps_count: bool,
) -> keras.optimizers.Optimizer:
    field = f"config.{_field(role)}"
    schedule = registry.resolve(registry.SCHEDULES, config.schedule.name, f"{field}.schedule.name")
    fixed: dict[str, Any] = {"learning_rate": config.learning_rate}
    fixed |= {"total_steps": total_steps} if schedules.takes_end(schedule) else {}
    parts.bind(schedule, config.schedule, f"{field}.schedule", None, **fixed)
    rate: schedules.ScheduleFn = functools.partial(schedule, **fixed, **config.schedule.args)
    if config.warmup_steps:
        rate = schedules.warmup(rate, config.warmup_steps)
    part, given = PartConfig(config.name, config.args), schedules.Schedule(rate, rate_scale)
    with backend_neutral():
        optimizer = _call(registry.OPTIMIZERS, part, field, given)
        refuse_unusable(optimizer, given, field)
        build_slots(optimizer, model.trainable_variables)
    if config.groups:
        _set_groups(optimizer, config, model, role)
    if keeps_count:
        given.first_update = count_from_parent(optimizer)
    return optimizer


def _set_groups(
    optimizer: keras.optimizers.Optimizer, config: OptimizerConfig, model: keras.Model, role: str
) -> None:
    named = dict(ownership.named_variables(role, model))
    paths = by_path(named)
    for index, group in enumerate(config.groups):
        refuse_idle(group.include, paths, f"{_field(role)}.groups[{index}].include")
    factors, decays = {}, {}
    for path, name in paths.items():
        for group in [g for g in config.groups if fits_any(path, g.include)][:1]:
            if group.learning_rate is not None:
                factors[id(named[name])] = group.learning_rate / config.learning_rate
            if group.weight_decay is not None:
                decays[id(named[name])] = group.weight_decay
    set_groups(optimizer, factors, decays)


def _loss(part: PartConfig) -> Any:
    """Return the loss: a class is constructed, a function gets its arguments bound."""
    found = adapted(registry.resolve(registry.LOSSES, part.name, "config.loss.name"))
    if isinstance(found, type):
        return _call(registry.LOSSES, part, "config.loss")
    parts.bind(found, part, "config.loss", None, None)
    return functools.partial(found, **part.args)


def _regularizer(part: PartConfig | None) -> Any:
    if part is None:
        return None
    found = _call(registry.REGULARIZERS, part, "config.regularizer")
    # Both strengths of Keras' elastic net are 0 where none is given.
    if type(found) is keras.regularizers.L1L2 and not (found.l1 or found.l2):
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"config.regularizer.args={part.args}: adds nothing; give l1, l2 or both",
        )
    return found


def _metrics(parts: Sequence[PartConfig]) -> dict[str, keras.metrics.Metric]:
    """Return the metrics by `args.name`, or by the name of their part."""
    metrics: dict[str, keras.metrics.Metric] = {}
    for index, part in enumerate(parts):
        field = f"config.metrics[{index}]"
        name = str(part.args.get("name") or part.name.rpartition(":")[2])
        if name in {"loss", *metrics}:
            raise RunError(
                ExitCode.BAD_CONFIG,
                f"{field} is called {name!r} like another number; give it another args.name",
            )
        metrics[name] = _call(registry.METRICS, part, field)
    return metrics


def _call(table: Mapping[str, str], part: PartConfig, field: str, *args: Any) -> Any:
    found = registry.resolve(table, part.name, f"{field}.name")
    return parts.call(found, part, field, *args)


def _field(role: str, kind: str = "optimizer") -> str:
    return kind if role == "main" else f"{kind}s.{role}"
