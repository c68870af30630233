"""`python -m trainer predict RUN INPUT`: outputs of the trained model, one JSON object a line."""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from common.exit_codes import ExitCode, RunError
from trainer.commands import Parser, add_checkpoint
from trainer.data.info import Feature
from trainer.runtime import quiet
from trainer.storage.failures import local_io

if TYPE_CHECKING:
    from trainer.commands.restored import Restored

_IMAGES = {".png", ".jpg", ".jpeg", ".bmp", ".gif"}
# A file is what its first bytes say, whatever its name; others would be handed to Ghostscript.
_FORMATS = ("PNG", "JPEG", "BMP", "GIF")
Named = tuple[list[str], np.ndarray]


def main(args: Sequence[str]) -> None:
    """Run the command."""
    parser = Parser("predict", "Print what the model of a checkpoint makes of new data.")
    parser.add_argument("workdir", help="folder or URL of the run")
    parser.add_argument("input", type=Path, help="folder of images, or a TFRecord file")
    parser.add_argument("--to", type=Path, help="file for the lines; default: standard output")
    parser.add_argument("--config", default="", help="experiment file that the run used")
    add_checkpoint(parser)
    flags = parser.parse_args(args)
    with quiet.loading():
        from trainer.commands.restored import restore_task

    restored = restore_task(flags.workdir, flags.config, flags.checkpoint)
    name = _input(restored, flags.workdir)
    if name not in restored.info.features:
        raise RunError(
            ExitCode.BAD_FLAG, f"predict: the task of {flags.workdir} has no feature {name!r}"
        )
    _check_fits(restored, name, flags.workdir)
    names, values = read(flags.input, name, restored.info.features[name])
    lines = [json.dumps(line) for line in _lines(names, outputs(restored, values))]
    text = "\n".join(lines) + "\n"
    if flags.to:
        with local_io(flags.to, "--to"):
            flags.to.parent.mkdir(parents=True, exist_ok=True)
            flags.to.write_text(text)
    else:
        sys.stdout.write(text)


def outputs(restored: "Restored", values: np.ndarray) -> np.ndarray:
    """Return the model's outputs [N, ...], as evaluation computes them: in microbatches, padded.

    Args:
        restored: whose model "main" is asked.
        values: [N, ...] as they are stored; images are bytes.
    """
    import tensorflow as tf

    from trainer.data.augment.preprocess import scale_pixels

    model, size = restored.task.models["main"], restored.plan.microbatch_size
    feature = restored.info.features[_input(restored, "the run")]
    # Scaled outside of the graph, as for a step: inside, TensorFlow folds the factor into a weight.
    call = tf.function(lambda x: model(x, training=False), autograph=False)
    parts = []
    for start in range(0, len(values), size):
        microbatch = values[start : start + size]
        padded = np.concatenate(
            [
                microbatch,
                np.zeros([size - len(microbatch), *microbatch.shape[1:]], microbatch.dtype),
            ]
        )
        scaled = scale_pixels(tf.constant(padded), feature)
        parts.append(call(scaled).numpy()[: len(microbatch)])
    return np.concatenate(parts)


def _input(restored: "Restored", workdir: str) -> str:
    """Return the feature that the task gives to its model."""
    name = getattr(restored.task, "input", "image")
    if not isinstance(name, str) or len(restored.task.models["main"].inputs) > 1:
        raise RunError(
            ExitCode.BAD_FLAG,
            f"predict: the model of {workdir} reads several inputs; `export` it and call it from "
            "Python: export.json names them",
        )
    return name


def _check_fits(restored: "Restored", name: str, workdir: str) -> None:
    """Refuse a model that reads something else than examples, as a generator does."""
    reads = tuple(restored.task.models["main"].input_shape[1:])
    stored = restored.info.features[name].shape
    same = (a == b or None in (a, b) for a, b in zip(reads, stored, strict=False))
    if len(reads) != len(stored) or not all(same):
        raise RunError(
            ExitCode.BAD_FLAG,
            f"predict: the model of {workdir} reads {list(reads)}, not the feature {name!r} "
            f"{list(stored)} of the examples; `export` it and call it from Python",
        )


def read(path: Path, name: str, feature: Feature) -> Named:
    """Return names and stored values of every image of a folder, or of every record of a file.

    Raises:
        RunError: BAD_FLAG or BAD_DATA naming the path, and what the model reads.
    """
    if path.is_dir():
        return _read_images(path, feature)
    if path.is_file():
        return _read_records(path, name, feature)
    raise RunError(ExitCode.BAD_FLAG, f"predict {path}: no such folder or file")


def _read_images(folder: Path, feature: Feature) -> Named:
    if not feature.is_image:
        raise RunError(
            ExitCode.BAD_FLAG, f"predict {folder}: the model reads no images; give a TFRecord file"
        )
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in _IMAGES)
    if not paths:
        raise RunError(
            ExitCode.BAD_FLAG, f"predict {folder}: no {', '.join(sorted(_IMAGES))} in it"
        )
    return [str(p) for p in paths], np.stack([_read_image(p, feature) for p in paths])


def _read_image(path: Path, feature: Feature) -> np.ndarray:
    from PIL import Image, UnidentifiedImageError

    height, width, channels = feature.shape
    try:
        with Image.open(path, formats=_FORMATS) as image:
            pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    except (OSError, UnidentifiedImageError) as error:
        raise RunError(ExitCode.BAD_DATA, f"{path} is no image: {error}") from error
    if pixels.shape[:2] != (height, width):
        raise RunError(
            ExitCode.BAD_DATA,
            f"{path} has {pixels.shape[0]} x {pixels.shape[1]} pixels, the model reads {height} x "
            f"{width}; resize it",
        )
    return pixels.reshape(pixels.shape[0], pixels.shape[1], -1)


def _read_records(path: Path, name: str, feature: Feature) -> Named:
    import tensorflow as tf

    from trainer.data.records.decode import make_parser

    parse = make_parser({name: feature})
    try:
        rows = [parse(record[tf.newaxis])[name][0] for record in tf.data.TFRecordDataset(str(path))]
    except tf.errors.OpError as error:
        raise RunError(ExitCode.BAD_DATA, f"{path}: {str(error).splitlines()[0]}") from error
    if not rows:
        raise RunError(ExitCode.BAD_DATA, f"{path} holds no records")
    return [f"{path}#{index}" for index in range(len(rows))], np.stack(rows)


def _lines(names: list[str], values: np.ndarray) -> Iterator[dict[str, Any]]:
    for name, row in zip(names, values, strict=True):
        line: dict[str, Any] = {"source": name}
        if row.ndim == 1 and len(row) > 1:
            line["largest"] = int(row.argmax())
        yield {**line, "outputs": row.tolist()}
