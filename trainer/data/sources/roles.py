"""The role of each feature: what its numbers mean, which their shape does not tell.

Pixels are scaled, classes are counted, masks are resized and mirrored with their image. The config
says a role, the task says that of its label, sources propose one (PNG, `ClassLabel`), a name may
hint at one. Bytes in the shape of an image that none of these tells of are refused: divided by 255
they would be trained on as well, whatever they are.
"""

import dataclasses
import json
from collections.abc import Mapping

from common import spelling
from common.exit_codes import ExitCode, RunError
from trainer.config import DatasetConfig, TrainConfig
from trainer.data.info import PIXEL_DTYPES, Feature

ROLES = ("image", "label", "mask", "target", "input", "weight", "text", "id", "length")
_FIELD = "config.dataset.roles"
# Losses of numbers: what they compare with is no class.
_OF_NUMBERS = ("mse", "mae", "huber")
_IMAGE_WORDS = ("image", "img", "photo", "picture")
_MASK_WORDS = ("mask", "segmentation")


@dataclasses.dataclass(frozen=True)
class TaskDataset(DatasetConfig):
    """A dataset with what the task says of its label.

    Attributes:
        ignored: feature -> the class that its loss does not count.
    """

    ignored: Mapping[str, int] = dataclasses.field(default_factory=dict)


def of_task(config: TrainConfig) -> DatasetConfig:
    """Return the dataset of a config with the role of its label, as far as the loss tells it.

    Of a custom loss it is not known whether it compares classes: the name of the feature then says
    that it is a label, and only whole numbers are counted.
    """
    label = config.task.args.get("label", "label")
    name = label if isinstance(label, str) else "label"  # of several the config says the roles
    role = "target" if config.loss.name in _OF_NUMBERS else "label"
    told = {} if ":" in config.loss.name and name == "label" else {name: role}
    fields = {f.name: getattr(config.dataset, f.name) for f in dataclasses.fields(DatasetConfig)}
    ignore = config.loss.args.get("ignore_class")
    fields["roles"] = {**told, **config.dataset.roles}
    return TaskDataset(**fields, ignored={} if ignore is None else {name: int(ignore)})


def ignored(name: str, config: DatasetConfig) -> int | None:
    """Return the class of a feature that its loss does not count, or None."""
    return config.ignored.get(name) if isinstance(config, TaskDataset) else None


def is_label(name: str, config: DatasetConfig) -> bool:
    """Whether a feature without a source's proposal is the label."""
    by_name = name == "label" and "label" not in config.roles.values()
    return config.roles.get(name, "label" if by_name else "") == "label"


def names_mask(name: str) -> bool:
    """Whether the name of a feature says that it is a mask."""
    return any(word in name.lower() for word in _MASK_WORDS)


def assign(features: Mapping[str, Feature], config: DatasetConfig) -> dict[str, Feature]:
    """Return the features with their roles.

    Raises:
        RunError: BAD_CONFIG naming the feature, with the line to write.
    """
    for name, role in config.roles.items():
        if role not in ROLES:
            hint = spelling.did_you_mean(str(role), ROLES) or f"allowed: {', '.join(ROLES)}"
            raise RunError(ExitCode.BAD_CONFIG, f"{_FIELD}.{name}={role!r} is no role; {hint}")
        if role == "image" and name in features:
            _check_image(name, features[name])
        if role == "label" and name in features and features[name].dtype == "string":
            raise RunError(
                ExitCode.BAD_CONFIG,
                f"feature {name!r} is text, whose classes this source does not number; map it to "
                "whole numbers in the data",
            )
    return {
        name: dataclasses.replace(
            feature, role=_role(name, feature, config), ignore=ignored(name, config)
        )
        for name, feature in features.items()
    }


def _role(name: str, feature: Feature, config: DatasetConfig) -> str:
    given = config.roles.get(name, feature.role)
    if given and not (feature.is_pixels and given in ("label", "target")):
        return given
    if not feature.is_pixels:
        is_counted = feature.num_classes is not None or is_label(name, config)
        return "label" if is_counted else {"string": "text"}.get(feature.dtype, "")
    if found := of_pixels(name, feature.role, config):
        return found
    if feature.encoding == "image":
        return "image"
    line = json.dumps({name: "image"})
    raise RunError(
        ExitCode.BAD_CONFIG,
        f"feature {name!r} is {feature.dtype}{list(feature.shape)}: pixels, which are scaled to "
        f'0..1, or classes, which are not? write --{_FIELD}=\'{line}\', or "mask", or "input" '
        "for numbers as they are",
    )


def of_pixels(name: str, proposed: str, config: DatasetConfig) -> str:
    """Return the role of a feature of pixels, as far as config and name tell it, else ""."""
    given = config.roles.get(name, proposed)
    if given and given not in ("label", "target"):
        return given
    if names_mask(name):
        return "mask"
    if any(word in name.lower() for word in _IMAGE_WORDS):
        return "image"  # may be what is compared with as well: an autoencoder
    return "mask" if given == "label" else ""  # a class for each pixel


def _check_image(name: str, feature: Feature) -> None:
    if not feature.is_pixels:
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"{_FIELD}.{name}='image': {feature.dtype}{list(feature.shape)} is no image; an image "
            f"is {' or '.join(PIXEL_DTYPES)} [height, width, channels]",
        )
