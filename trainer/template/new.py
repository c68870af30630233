"""`python -m trainer new DIR`: a custom experiment and its test."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from common.exit_codes import ExitCode, RunError
from trainer.commands import Parser
from trainer.storage.failures import local_io

FILES = ("experiment.py", "test_experiment.py")


def main(args: Sequence[str]) -> None:
    """Run the command."""
    parser = Parser("new", "Write a custom experiment and its test into a folder.")
    parser.add_argument("folder", type=Path, help="created where it does not exist")
    folder: Path = parser.parse_args(args).folder
    write(folder)
    print(_next_steps(folder))


def write(folder: Path) -> None:
    """Copy the template into `folder`; files that are there already are never touched.

    Raises:
        RunError: BAD_FLAG where a file is there already.
    """
    for name in FILES:
        if (folder / name).exists():
            raise RunError(
                ExitCode.BAD_FLAG, f"{folder / name} exists already; give `new` another folder"
            )
    with local_io(folder, "new"):
        folder.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            shutil.copyfile(Path(__file__).parent / name, folder / name)


def _next_steps(folder: Path) -> str:
    config = f"--config={folder / FILES[0]}"
    return f"""\
wrote {", ".join(str(folder / name) for name in FILES)}
try every code path:  python -m trainer {config} --fast_dev_run
train:                python -m trainer {config} --workdir=runs/{folder.name}
on two replicas:      add --cpu_replicas=2; the digest stays the same
on two workers:       python -m launch local --workers=2 --code={folder} -- {config} --workdir=DIR
on a cluster:         there, `submit --backend=kubernetes --image=IMAGE` for `local --workers=2`
test:                 python -m pytest {folder}"""
