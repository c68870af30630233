"""`python -m trainer new DIR`: a custom experiment and its test, or a copy of a shipped one."""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from common.exit_codes import ExitCode, RunError
from trainer.commands import Parser
from trainer.config import experiment_file
from trainer.storage.failures import local_io

HERE = Path(__file__).parent
FILES = ("experiment.py", "test_experiment.py")
SOURCES = {name: HERE / name for name in FILES}
TASK_SOURCES = {name: HERE / name.replace("experiment", "task_experiment") for name in FILES}


def main(args: Sequence[str]) -> None:
    """Run the command."""
    parser = Parser("new", "Write a custom experiment and its test into a folder.")
    parser.add_argument("folder", type=Path, help="created where it does not exist")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--task", action="store_true", help="with a step of its own")
    kind.add_argument(
        "--from", dest="shipped", default="", help="copy a config that ships, or an example's file"
    )
    flags = parser.parse_args(args)
    files = TASK_SOURCES if flags.task else SOURCES
    if flags.shipped:
        files = {FILES[0]: experiment_file.find(flags.shipped)}
    write(flags.folder, files)
    print(_next_steps(flags.folder, files))


def write(folder: Path, files: Mapping[str, Path] = SOURCES) -> None:
    """Copy a template into `folder`; files that are there already are never touched.

    Args:
        folder: created where it does not exist.
        files: name -> what is copied.

    Raises:
        RunError: BAD_FLAG where a file is there already.
    """
    for name in files:
        if (folder / name).exists():
            raise RunError(
                ExitCode.BAD_FLAG, f"{folder / name} exists already; give `new` another folder"
            )
    with local_io(folder, "new"):
        folder.mkdir(parents=True, exist_ok=True)
        for name, source in files.items():
            shutil.copyfile(source, folder / name)


def _next_steps(folder: Path, files: Iterable[str]) -> str:
    config = f"--config={folder / FILES[0]}"
    test = f"test:                 python -m pytest {folder}\n" if FILES[1] in files else ""
    return f"""\
wrote {", ".join(str(folder / name) for name in files)}
{test}try every code path:  python -m trainer {config} --fast_dev_run
train:                python -m trainer {config} --workdir=runs/{folder.name}
on two replicas:      add --cpu_replicas=2; the digest stays the same
on two workers:       python -m launch local --workers=2 --code={folder} -- {config} --workdir=DIR
on a cluster:         there, `submit --backend=kubernetes --image=IMAGE` for `local --workers=2`"""
