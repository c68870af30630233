"""Of what size and kind the image files of a feature are, and the feature that follows from it."""

import io
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from common.exit_codes import ExitCode, RunError
from trainer.data.info import Feature

# A file is what its first bytes say, whatever its name; others would be handed to Ghostscript.
_FORMATS = ("PNG", "JPEG", "BMP", "GIF")
_CHANNELS = {
    **dict.fromkeys(("1", "L", "P", "I;16", "I"), 1),
    **dict.fromkeys(("RGB", "CMYK", "YCbCr"), 3),
    **dict.fromkeys(("RGBA", "LA", "PA"), 4),
}
_MOST = 64


class Kind(NamedTuple):
    """What the header of an image file says.

    Attributes:
        height: pixels.
        width: pixels.
        channels: 1 of grey or of a palette, 3 of colours, 4 with transparency.
        bits: of a channel, 8 or 16.
        is_palette: the pixels are numbers of colours.
        where: the first file of this kind.
    """

    height: int
    width: int
    channels: int
    bits: int
    is_palette: bool
    where: str


def read_kind(data: bytes, where: str) -> Kind:
    """Read the header of an image file.

    Raises:
        RunError: BAD_DATA where it is none.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            width, height = image.size
            mode, is_palette = image.mode, image.mode in ("P", "PA")
    except Exception as error:  # Pillow raises what its parsers raise
        raise RunError(
            ExitCode.BAD_DATA, f"{where} is no image: {', '.join(_FORMATS)} are read"
        ) from error
    bits = 16 if data[:4] == b"\x89PNG" and data[24:25] == b"\x10" else 8
    return Kind(height, width, _CHANNELS.get(mode, 3), bits, is_palette, where)


class Kinds:
    """Gathers the kinds of the images of a feature: the first of each."""

    def __init__(self) -> None:
        self._found: dict[tuple[Any, ...], Kind] = {}

    def add(self, kind: Kind) -> None:
        """Take note of one more file."""
        if len(self._found) < _MOST or all(kind[2:-1] != key[2:] for key in self._found):
            self._found.setdefault(kind[:-1], kind)

    def found(self) -> list[Kind]:
        """Return the first of each kind, in the order in which they came."""
        return list(self._found.values())


def propose(
    name: str, kinds: Sequence[Kind], fields: Mapping[str, Any], size: Any, role: str = ""
) -> Feature:
    """Return the feature of images of these kinds.

    Args:
        name: of the feature.
        kinds: of all its files.
        fields: that the config gives.
        size: `config.dataset.args.image_size`, or None.
        role: of the feature, where the source knows it.

    Raises:
        RunError: BAD_CONFIG where the files differ in size or depth and the config does not say
            what they are to become, BAD_DATA where one has another size than it says.
    """
    role = str(fields.get("role") or role)
    bits = sorted(kinds, key=lambda kind: kind.bits)
    if bits[0].bits != bits[-1].bits:
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"feature {name!r}: {bits[0].where} has 8 bits a channel and {bits[-1].where} 16; "
            "bring them to one depth",
        )
    dtype = fields.get("dtype") or {8: "uint8", 16: "uint16"}[bits[0].bits]
    if "shape" in fields:
        _check_kinds(kinds, fields)
        return Feature(
            tuple(fields["shape"]),
            dtype,
            encoding="image",
            role=role,
            resized=bool(fields.get("resized")),
        )
    channels = 1 if role == "mask" else _num_channels(name, kinds)
    sizes = {kind[:2]: kind for kind in reversed(kinds)}
    if size is not None:
        check_size(size)
        is_same = set(sizes) == {tuple(size)}
        return Feature((*size, channels), dtype, encoding="image", resized=not is_same, role=role)
    if len(sizes) > 1:
        one, other, *_ = sizes.values()
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"feature {name!r} has images of different sizes: {one.where} {one.height} x "
            f"{one.width}, {other.where} {other.height} x {other.width}; give "
            "--config.dataset.args.image_size='[height, width]'",
        )
    return Feature((*kinds[0][:2], channels), dtype, encoding="image", role=role)


def check_size(size: Any) -> None:
    """Refuse `config.dataset.args.image_size` that is no height and width: BAD_CONFIG."""
    if not (
        isinstance(size, list | tuple)
        and len(size) == 2
        and all(type(n) is int and n > 0 for n in size)
    ):
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"config.dataset.args.image_size={size!r}; give [height, width] in pixels",
        )


def _check_kinds(kinds: Sequence[Kind], fields: Mapping[str, Any]) -> None:
    height, width, *_ = fields["shape"]
    for kind in kinds:
        if (kind.height, kind.width) != (height, width) and not fields.get("resized"):
            raise RunError(
                ExitCode.BAD_DATA,
                f"{kind.where} has {kind.height} x {kind.width} pixels, and not {height} x "
                f'{width}; resize it, or give "resized": true',
            )


def _num_channels(name: str, kinds: Sequence[Kind]) -> int:
    """Grey among colours becomes colours; transparency is kept only where all images have it."""
    most = max(kinds, key=lambda kind: kind.channels)
    least = min(kinds, key=lambda kind: kind.channels)
    if most.channels == 1 and any(kind.is_palette for kind in kinds):
        return 3
    if most.channels == 4 and least.channels < 4:
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"feature {name!r}: {most.where} has transparency and {least.where} has none; write "
            "the shape [height, width, 3] to leave it out",
        )
    return most.channels
