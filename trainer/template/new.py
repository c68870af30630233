"""`python -m trainer new DIR`: a custom experiment and its test, or a copy of a shipped one."""

import ast
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from common.exit_codes import ExitCode, RunError
from trainer import user_code
from trainer.commands import Parser
from trainer.config import experiment_file
from trainer.storage.failures import local_io

HERE = Path(__file__).parent
FILES = ("experiment.py", "test_experiment.py")
SOURCES = {name: HERE / name for name in FILES}
TASK_SOURCES = {name: HERE / name.replace("experiment", "task_experiment") for name in FILES}
GALLERY = HERE / "gallery"
"""A link to the examples, so that an installed trainer has them too."""


def main(args: Sequence[str]) -> None:
    """Run the command."""
    parser = Parser("new", "Write a custom experiment and its test into a folder.")
    parser.add_argument("folder", type=Path, help="created where it does not exist")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--task", action="store_true", help="with a step of its own")
    kind.add_argument(
        "--like", choices=sorted(file.stem for file in GALLERY.glob("*.py")), help="copy an example"
    )
    kind.add_argument("--from", dest="source", help="copy a config that ships, or any file")
    flags = parser.parse_args(args)
    files = TASK_SOURCES if flags.task else SOURCES
    if flags.like:
        files = _with_imports(GALLERY / f"{flags.like}.py")
    elif flags.source:
        files = _with_imports(experiment_file.find(flags.source))
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


def _with_imports(experiment: Path) -> dict[str, Path]:
    """Return an experiment, and the files beside it that it imports."""
    files, unread = {FILES[0]: experiment}, [experiment]
    while unread:
        file = unread.pop()
        for module in user_code.imported(_parsed(file), file.stem):
            beside = file.with_name(f"{module}.py")
            if beside.name not in files and beside.is_file():
                files[beside.name] = beside
                unread.append(beside)
    return files


def _parsed(file: Path) -> ast.AST:
    try:
        return ast.parse(file.read_text())
    except SyntaxError as error:
        where = f"{file}:{error.lineno}"
        raise RunError(ExitCode.BAD_CONFIG, f"{where}: no Python: {error.msg}") from None


def _next_steps(folder: Path, files: Mapping[str, Path]) -> str:
    config = f"--config={folder / FILES[0]}"
    steps = {}
    if FILES[1] in files:
        steps["test"] = f"python -m pytest {folder}"
    if "__main__" in files[FILES[0]].read_text():
        steps["make its data"] = f"PYTHONPATH=. python {folder / FILES[0]}"
    for name in files.keys() - FILES:
        if "def get_config" in files[name].read_text():
            run = f"--config={folder / name} --workdir=runs/{Path(name).stem}"
            steps["train its parent"] = f"python -m trainer {run}"
    steps |= {
        "try every code path": f"python -m trainer {config} --fast_dev_run",
        "train": f"python -m trainer {config} --workdir=runs/{folder.name}",
        "on two replicas": "add --cpu_replicas=2; the digest stays the same",
        "on two workers": f"python -m launch local --workers=2 --code={folder} -- {config} "
        "--workdir=DIR",
        "on a cluster": "there, `submit --backend=kubernetes --image=IMAGE` for "
        "`local --workers=2`",
    }
    lines = [f"{name + ':':22}{step}" for name, step in steps.items()]
    return "\n".join([f"wrote {', '.join(str(folder / name) for name in files)}", *lines])
