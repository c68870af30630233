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

Change = Callable[..., Batch]


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
    draws = [_draw(augment, index) for index in range(len(augment))]
    masks = [_masks(augment, index, features) for index in range(len(augment))]

    def preprocess(batch: Batch, positions: tf.Tensor) -> Batch:
        batch = {name: scale_pixels(x, features[name]) for name, x in batch.items()}
        batch |= {n: tf.one_hot(batch[n], features[n].num_classes) for n in mixed}
        if seed is None:
            return batch
        for index, change in enumerate(changes):
            keys = fold(fold(seed, draws[index]), positions)
            name = _feature(augment[index])
            if name in features and features[name].role == "mask":
                changed = _moved(batch, name, features[name].ignore or 0, change, keys)
            else:
                changed = change(batch, keys)
            for mask in masks[index]:
                changed = _moved(changed, mask, features[mask].ignore or 0, change, keys)
            _refuse_other_shapes(batch, changed, f"config.augment[{index}]={augment[index].name!r}")
            batch = changed
        return batch

    return preprocess


def _feature(part: PartConfig) -> str:
    return str(part.args.get("feature", "image"))


def _is_geometric(part: PartConfig, index: int) -> bool:
    function = registry.resolve(registry.AUGMENTS, part.name, f"config.augment[{index}].name")
    return getattr(function, "geometric", False)


def _moved(batch: Batch, mask: str, ignore: int, change: Change, keys: tf.Tensor) -> Batch:
    """Move a mask with its image; what comes in from outside is the class that is ignored."""
    outside = tf.cast(ignore, batch[mask].dtype)  # whole numbers wrap around, there and back
    moved = change({**batch, mask: batch[mask] - outside}, keys, feature=mask)
    return {**moved, mask: moved[mask] + outside}


def _draw(augment: Sequence[PartConfig], index: int) -> int:
    """Return the number of the draw of a change.

    The same geometric change of another feature is one with it: image and depth stay together.
    """
    part = augment[index]
    if not _is_geometric(part, index):
        return index
    same = [i for i, other in enumerate(augment) if other.name == part.name]
    earlier = [i for i in same if i < index and _feature(augment[i]) == _feature(part)]
    firsts = [
        i
        for i in same
        if sum(_feature(augment[j]) == _feature(augment[i]) for j in same if j < i) == len(earlier)
    ]
    return firsts[0]


def _masks(augment: Sequence[PartConfig], index: int, features: Mapping[str, Feature]) -> list[str]:
    """Return the masks that go with a geometric change of an image."""
    part = augment[index]
    image = features.get(_feature(part))
    if not _is_geometric(part, index) or image is None or image.role == "mask":
        return []
    named = {_feature(other) for other in augment if other.name == part.name}
    return [
        name
        for name, f in features.items()
        if f.role == "mask" and f.shape[:2] == image.shape[:2] and name not in named
    ]


def scale_pixels(values: tf.Tensor, feature: Feature) -> tf.Tensor:
    """Return values as models see them: bytes of images as float32 in [0, 1]."""
    is_stored = feature.is_image and values.dtype.is_integer
    return tf.cast(values, tf.float32) / values.dtype.max if is_stored else values


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
    may_be_mask = _is_geometric(part, index)
    if name is not None and not (
        name in features
        and (features[name].is_image or (may_be_mask and features[name].role == "mask"))
    ):
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"{field}: {part.name} changes images and {name!r} is none; features: "
            f"{', '.join(sorted(features))}",
        )
    return functools.partial(function, **part.args)
