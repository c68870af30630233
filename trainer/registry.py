"""Names that a config may use, and where their code is: plain tables, nothing imported until asked.

To add a part: write one file in its folder and one line here. A custom part needs no line:
wherever a registered name is allowed, `"package.module:function"` works too, and in Python the
function or class itself, which `name_of` names so.
"""

import importlib
import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from common import spelling
from common.exit_codes import ExitCode, RunError

MODELS = {
    "mlp": "trainer.models.mlp:mlp",
    "cnn": "trainer.models.cnn:cnn",
    "resnet": "trainer.models.resnet:resnet",
    "resnet50": "trainer.models.resnet50:resnet50",
    "generator": "trainer.models.generator:generator",
    "discriminator": "trainer.models.discriminator:discriminator",
    "transformer": "trainer.models.transformer:transformer",
}

# Functions of `keras.losses` take logits: see trainer/losses/from_keras.py.
LOSSES = {
    "sparse_categorical_crossentropy": "keras.losses:sparse_categorical_crossentropy",
    "categorical_crossentropy": "keras.losses:categorical_crossentropy",
    "binary_crossentropy": "keras.losses:binary_crossentropy",
    "focal": "trainer.losses.focal:focal",
    "mse": "trainer.losses.mse:MeanSquaredError",
    "mae": "keras.losses:mean_absolute_error",
    "huber": "keras.losses:huber",
    "kl_divergence": "trainer.losses.kl_divergence:kl_divergence",
}

OPTIMIZERS = {
    "midpoint": "trainer.optimizers.midpoint:Midpoint",
    "sgd": "keras.optimizers:SGD",
    "momentum": "trainer.optimizers.momentum:momentum",
    "nesterov": "trainer.optimizers.momentum:nesterov",
    "adagrad": "keras.optimizers:Adagrad",
    "rmsprop": "keras.optimizers:RMSprop",
    "adam": "keras.optimizers:Adam",
    "adamw": "keras.optimizers:AdamW",
    "lamb": "keras.optimizers:Lamb",
    "lion": "keras.optimizers:Lion",
}

SCHEDULES = {
    "constant": "trainer.optimizers.schedules:constant",
    "exponential": "trainer.optimizers.schedules:exponential",
    "cosine": "trainer.optimizers.schedules:cosine",
}

REGULARIZERS = {
    "l1": "keras.regularizers:L1",
    "l2": "trainer.regularizers.l2:L2",
    "elastic_net": "keras.regularizers:L1L2",
}

# A custom one is a class, see `monitoring.trackers.Tracker`.
TRACKERS = {
    "mlflow": "trainer.monitoring.mlflow_tracker:MLflow",
    "wandb": "trainer.monitoring.wandb_tracker:Wandb",
}

METRICS = {
    "accuracy": "keras.metrics:SparseCategoricalAccuracy",
    "balanced_accuracy": "trainer.metrics.balanced_accuracy:BalancedAccuracy",
    "binary_accuracy": "trainer.metrics.binary_accuracy:BinaryAccuracy",
    "categorical_accuracy": "keras.metrics:CategoricalAccuracy",
    "mean_absolute_error": "keras.metrics:MeanAbsoluteError",
    "mean_squared_error": "keras.metrics:MeanSquaredError",
    "top_k": "keras.metrics:SparseTopKCategoricalAccuracy",
}

TASKS = {
    "supervised": "trainer.tasks.supervised:Supervised",
    "gan": "trainer.tasks.gan:Gan",
    "wgan_gp": "trainer.tasks.wgan_gp:WassersteinGan",
    "sharpness_aware": "trainer.tasks.sharpness_aware:SharpnessAware",
    "distillation": "trainer.tasks.distillation:Distillation",
    "simclr": "trainer.tasks.simclr:SimClr",
    "language_model": "trainer.tasks.language_model:LanguageModel",
}

AUGMENTS = {
    "flip": "trainer.data.augment.flip:flip",
    "pad_and_crop": "trainer.data.augment.pad_and_crop:pad_and_crop",
    "random_resized_crop": "trainer.data.augment.random_resized_crop:random_resized_crop",
    "color_jitter": "trainer.data.augment.color_jitter:color_jitter",
    "mixup": "trainer.data.augment.mixup:mixup",
}


def resolve(table: Mapping[str, str], name: str, field: str) -> Any:
    """Return the object that a name in the config stands for; imports its module.

    Args:
        table: one of the tables of this file.
        name: a registered name, or `"package.module:object"`.
        field: the config field that holds the name, for the message.

    Raises:
        RunError: BAD_CONFIG where the name is not registered or cannot be imported.
    """
    check(table, name, field)
    target = table.get(name, name)
    module, _, attribute = target.partition(":")
    try:
        found = _module(module)
    except (ImportError, AttributeError) as error:
        raise _cannot_load(field, name, target, str(error)) from error
    if not hasattr(found, attribute):
        hint = spelling.did_you_mean(attribute, dir(found))
        reason = "; ".join(filter(None, (f"{module} has no {attribute!r}", hint)))
        raise _cannot_load(field, name, target, reason)
    return getattr(found, attribute)


def name_of(thing: Any) -> str:
    """Return "module:object" of a function or class, by which a config names it.

    The module of a script is called by its file, as it is when it is imported; that of a notebook
    has no file and is `__main__`.

    Raises:
        RunError: BAD_CONFIG where it would not be found again by this name.
    """
    module, name = getattr(thing, "__module__", ""), getattr(thing, "__qualname__", "")
    module = main_name() if module == "__main__" else module
    if not (module and name.isidentifier()) or getattr(_module(module), name, None) is not thing:
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"{thing!r} cannot be found again by its name: define it with `def` or `class` at the "
            "top level of a module or notebook, and give arguments as args={...}",
        )
    return f"{module}:{name}"


def main_name() -> str:
    """Return the name by which the module that runs is imported."""
    main = sys.modules["__main__"]
    if spec := getattr(main, "__spec__", None):
        return str(spec.name)
    return Path(getattr(main, "__file__", None) or "__main__").stem


def _module(name: str) -> ModuleType:
    """Import a module; the one that runs is not run again under another name."""
    return sys.modules["__main__"] if name == main_name() else importlib.import_module(name)


def _cannot_load(field: str, name: str, target: str, reason: str) -> RunError:
    return RunError(ExitCode.BAD_CONFIG, f"{field}={name!r}: cannot load {target}: {reason}")


def check(table: Mapping[str, str], name: str, field: str) -> None:
    """Refuse a name that cannot be resolved, without importing the code behind it.

    Of a custom `"package.module:object"` only the form and the package are looked at: more would
    run the package, and a mistake in a flag must show before TensorFlow is loaded.

    Raises:
        RunError: BAD_CONFIG naming the field, the value and what is allowed.
    """
    if name in table:
        return
    if ":" in name:
        _check_custom(name, field)
        return
    raise RunError(
        ExitCode.BAD_CONFIG,
        f"{field}={name!r} is not known: {spelling.did_you_mean(name, table)} "
        f"Registered: {', '.join(sorted(table))}; "
        "a custom one is written 'package.module:name'",
    )


def _check_custom(name: str, field: str) -> None:
    """Refuse a custom name whose form is wrong or whose top-level package is not there."""
    module, _, attribute = name.partition(":")
    parts = [*module.split("."), attribute]
    if not all(part.isidentifier() for part in parts):
        raise RunError(ExitCode.BAD_CONFIG, f"{field}={name!r} is not 'package.module:name'")
    # A script or notebook is `__main__`: loaded, and without a spec.
    if parts[0] not in sys.modules and importlib.util.find_spec(parts[0]) is None:
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"{field}={name!r}: no package {parts[0]!r} here; put its folder on PYTHONPATH",
        )
