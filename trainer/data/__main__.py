"""`python -m trainer.data show|verify|prepare`: look at a dataset, check or prepare it."""

import os
import pathlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from common import redaction
from common.exit_codes import ExitCode, RunError
from trainer import storage, user_code
from trainer.commands import Parser
from trainer.config import conversion, experiment_file
from trainer.config.flags import take_fields

if TYPE_CHECKING:
    import argparse

    from trainer.config import TrainConfig
    from trainer.data.records.files import Stage


def main(argv: Sequence[str]) -> ExitCode:
    """Run the command line; every failure ends in one line and its exit code."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # its notes would bury our lines
    commands = {"show": _show, "verify": _verify, "prepare": _prepare}
    try:
        if not argv or argv[0] not in commands:
            raise RunError(
                ExitCode.BAD_FLAG, f"python -m trainer.data {'|'.join(commands)} [--help]"
            )
        commands[argv[0]](argv[1:])
    except RunError as error:
        redaction.complain(error.code.last_line(error.reason))
        return error.code
    except Exception as error:
        return user_code.tell(error)
    return ExitCode.DONE


def _show(argv: Sequence[str]) -> None:
    parser = Parser("data show", "Print what a config's data are and draw training examples.")
    parser.prog = "python -m trainer.data show"
    parser.add_argument("--config", default="digits", help="experiment, as for the trainer")
    parser.add_argument("--picture", default="examples.png", help="PNG to write; empty: none")
    flags, config, stage = _parse(parser, argv)
    from trainer.data import show

    picture = pathlib.Path(flags.picture) if flags.picture else None
    for name, value in show.show(config, stage, picture):
        print(f"{name:24}{value}")


def _verify(argv: Sequence[str]) -> None:
    parser = Parser(
        "data verify", "Read and decode every record of a config's data, and list bad ones."
    )
    parser.prog = "python -m trainer.data verify"
    parser.add_argument("--config", default="digits", help="experiment, as for the trainer")
    parser.add_argument(
        "--skip_list", default="skip_list.json", help="file to list bad records in; empty: none"
    )
    flags, config, stage = _parse(parser, argv)
    from trainer.data import verify

    verify.verify(config, stage, pathlib.Path(flags.skip_list) if flags.skip_list else None)


def _parse(parser: Parser, argv: Sequence[str]) -> "tuple[argparse.Namespace, TrainConfig, Stage]":
    """Return the flags, the config that they name, and where copies are kept."""
    parser.add_argument("--stage_dir", default="", help="folder for copies of remote data")
    parser.add_argument("--stage_bytes", type=int, default=0, help="most bytes of those copies")
    settings, others = take_fields(argv)
    flags = parser.parse_args(others)
    config = conversion.override(experiment_file.load(flags.config), settings)
    from trainer.data.records.files import Stage

    return flags, config, Stage(flags.stage_dir, flags.stage_bytes)


def _prepare(argv: Sequence[str]) -> None:
    parser = Parser("data prepare", "Download and prepare a TFDS dataset, once, outside any job.")
    parser.prog = "python -m trainer.data prepare"
    parser.add_argument("--name", required=True, help="TFDS name, such as mnist or mnist:3.0.1")
    parser.add_argument("--data_dir", default="~/tensorflow_datasets", help="where to put it")
    flags = parser.parse_args(list(argv))
    if storage.is_remote(flags.data_dir):
        raise RunError(
            ExitCode.BAD_FLAG,
            f"--data_dir={flags.data_dir}: datasets are prepared on a local disk; give a folder "
            "there, and copy the whole folder of the dataset to the bucket afterwards",
        )
    from trainer.data import prepare

    folder = prepare.prepare(flags.name, pathlib.Path(flags.data_dir).expanduser())
    print(f"prepared: --config.dataset.name=tfds:{folder}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
