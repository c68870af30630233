"""`python -m trainer predict RUN INPUT`: what the trained model makes of any data."""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trainer.commands import Parser, add_checkpoint, predict_files
from trainer.runtime import quiet


def main(args: Sequence[str]) -> None:
    """Run the command."""
    parser = Parser("predict", "Write what the model of a checkpoint makes of data.")
    parser.add_argument("workdir", help="folder or URL of the run")
    parser.add_argument(
        "input",
        nargs="?",
        default="",
        help="folder of images, file, or a name as dataset.name takes it; it needs no labels; "
        "default: the run's data",
    )
    parser.add_argument(
        "--split", default="", help="split or slice; default: all, or the run's evaluation split"
    )
    parser.add_argument(
        "--args", type=_mapping, help="dataset.args of the input as JSON; default: the run's"
    )
    parser.add_argument(
        "--to",
        type=Path,
        help=f"file: {', '.join(predict_files.WRITERS)}; default: JSON lines on standard output",
    )
    parser.add_argument("--config", default="", help="experiment file that the run used")
    add_checkpoint(parser)
    flags = parser.parse_args(args)
    write = predict_files.find(flags.to)
    with quiet.loading():
        from trainer.commands import predict_input, predict_outputs
        from trainer.commands.restored import restore_task

    restored = restore_task(flags.workdir, flags.config, flags.checkpoint)
    asked = predict_outputs.features_read(restored)
    info = predict_input.describe(restored, asked, flags.input, flags.split, flags.args)
    write(flags.to, predict_outputs.rows(restored, info))


def _mapping(text: str) -> Mapping[str, Any]:
    try:
        return dict(json.loads(text))
    except (ValueError, TypeError) as error:
        raise argparse.ArgumentTypeError(
            f'{text!r} is no JSON such as {{"delimiter": ";"}}'
        ) from error
