"""Pictures as arrays of bytes: grids of images and confusion matrices."""

import base64
import io
import math

import numpy as np

_CELL = 26
_BLUE = np.array([37, 99, 235], np.float32)
_WHITE = np.float32(255)
_LEAST = 96


def grid(images: np.ndarray) -> np.ndarray:
    """Lay images side by side in a square, small ones enlarged, with a line of grey between.

    Args:
        images: float[N, H, W, C] in [0, 1], or uint8; C is 1 or 3.

    Returns:
        uint8[height, width, C].
    """
    values = images if images.dtype == np.uint8 else np.clip(images, 0, 1) * 255
    values = np.asarray(values, np.uint8)
    side = math.ceil(math.sqrt(len(values)))
    scale = max(1, _LEAST // 2 // max(values.shape[1:3]))
    values = values.repeat(scale, 1).repeat(scale, 2)
    blank = np.full([side**2 - len(values), *values.shape[1:]], 128, np.uint8)
    cells = np.pad(
        np.concatenate([values, blank]), [(0, 0), (0, 1), (0, 1), (0, 0)], constant_values=128
    )
    _, height, width, channels = cells.shape
    rows = cells.reshape(side, side, height, width, channels).transpose(0, 2, 1, 3, 4)
    return rows.reshape(side * height, side * width, channels)


def confusion(matrix: np.ndarray) -> np.ndarray:
    """Draw counts int[K, K]: a row for each true class; the share of its row is the colour.

    Returns:
        uint8[height, width, 3].
    """
    from PIL import Image, ImageDraw

    share = matrix / np.maximum(1, matrix.sum(axis=1, keepdims=True))
    colors = _WHITE + 0.8 * share[..., np.newaxis] * (_BLUE - _WHITE)
    pixels = colors.astype(np.uint8).repeat(_CELL, 0).repeat(_CELL, 1)
    image = Image.fromarray(pixels)
    pen = ImageDraw.Draw(image)
    for row, column in np.argwhere(matrix):
        text = str(matrix[row, column])
        pen.text((column * _CELL + 3, row * _CELL + 7), text, fill=(17, 17, 17))
    return np.asarray(image)


def png(image: np.ndarray) -> str:
    """Return a picture uint8[H, W, 1 or 3] as base64 PNG."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()
