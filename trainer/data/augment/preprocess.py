"""What every example goes through on the device, after it was served and before the task."""

import functools
from collections.abc import Callable, Mapping, Sequence

import tensorflow as tf

from common.exit_codes import ExitCode, RunError
from trainer import registry
from trainer.config import PartConfig, parts
from trainer.data.augment import Batch
from trainer.data.augment.hashing import fold
from trainer.data.info import Feature

Change = Callable[[Batch, tf.Tensor], Batch]


def seen_features(
    features: Mapping[str, Feature], augment: Sequence[PartConfig] = ()
) -> dict[str, Feature]:
    """Return the features as the task sees them: float32 images, and labels that are mixed."""
    seen = {n: Feature(f.shape, "float32") if f.is_image else f for n, f in features.items()}
    mixed = {n: Feature((features[n].num_classes,), "float32") for n in _mixed(features, augment)}
    return seen | mixed


def make_preprocess(
    features: Mapping[str, Feature],
    augment: Sequence[PartConfig] = (),
    *,
    seed: int | None = None,
) -> Callable[[Batch, tf.Tensor], Batch]:
    """Return the function from served to seen examples.

    The returned function takes a batch [k, b, ...] and the examples' positions int64[k, b].

    Args:
        features: as they are served.
        augment: changes to training examples, in order.
        seed: of the changes; None: make none (evaluation).

    Raises:
        RunError: BAD_CONFIG where a change is not known or its arguments are wrong.
    """
    mixed = _mixed(features, augment)
    changes = [_change(part, index, features) for index, part in enumerate(augment)]

    def preprocess(batch: Batch, positions: tf.Tensor) -> Batch:
        batch = {name: scale_pixels(x, features[name]) for name, x in batch.items()}
        batch |= {n: tf.one_hot(batch[n], features[n].num_classes) for n in mixed}
        if seed is None:
            return batch
        for index, change in enumerate(changes):
            changed = change(batch, fold(fold(seed, index), positions))
            _refuse_other_shapes(batch, changed, f"config.augment[{index}]={augment[index].name!r}")
            batch = changed
        return batch

    return preprocess


def scale_pixels(values: tf.Tensor, feature: Feature) -> tf.Tensor:
    """Return values as models see them: bytes of images as float32 in [0, 1]."""
    is_stored = feature.is_image and values.dtype == tf.uint8
    return tf.cast(values, tf.float32) / 255 if is_stored else values


def _refuse_other_shapes(before: Batch, after: Batch, field: str) -> None:
    if not isinstance(after, Mapping):
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"{field} returned {type(after).__name__}; return the batch, feature -> tensor",
        )
    for name, value in before.items():
        shape = after[name].shape if name in after else None
        if shape != value.shape:
            raise RunError(
                ExitCode.BAD_CONFIG,
                f"{field} made {name!r} of shape {value.shape} into {shape}; a change keeps the "
                "shape of every feature",
            )


def _mixed(features: Mapping[str, Feature], augment: Sequence[PartConfig]) -> list[str]:
    names = [part.args.get("label", "label") for part in augment if part.name == "mixup"]
    for name in names:
        if name not in features or features[name].num_classes is None:
            raise RunError(
                ExitCode.BAD_CONFIG,
                f"config.augment: mixup of {name!r} needs a class label; features: "
                f"{', '.join(sorted(features))}",
            )
    return names


def _change(part: PartConfig, index: int, features: Mapping[str, Feature]) -> Change:
    field = f"config.augment[{index}]"
    function = registry.resolve(registry.AUGMENTS, part.name, f"{field}.name")
    bound = parts.bind(function, part, field, None, None)
    bound.apply_defaults()
    name = bound.arguments.get("feature")
    if name is not None and (name not in features or not features[name].is_image):
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"{field}: {part.name} changes images and {name!r} is none; features: "
            f"{', '.join(sorted(features))}",
        )
    return functools.partial(function, **part.args)
