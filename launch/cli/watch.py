"""The verbs that look into runs: top, tensorboard, attach."""

import contextlib
import dataclasses
import subprocess
import sys
import tempfile
import threading
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path

from common.exit_codes import RunError
from launch.api import Job
from launch.backend import Backend, Command, Run
from launch.cli.views import open_backend, show
from launch.code import remote_files
from launch.spec import progress
from launch.spec.user_input import bad_flag

_COPY_SECS = 30.0


def top(values: Namespace) -> int:
    """Prints how far every run is, of the jobs here and of those on the cluster."""
    rows = [row for backend in _backends(values) for row in _progress(backend)]
    show([dataclasses.asdict(row) for row in rows], progress.table(rows), values)
    return 0


def _backends(values: Namespace) -> Iterator[Backend]:
    if values.backend != "all":
        yield open_backend(values)
        return
    for name in ("local", "kubernetes"):
        try:
            yield open_backend(Namespace(**{**vars(values), "backend": name}))
        except RunError as error:  # many have no cluster
            print(f"[launch] {error.reason}", file=sys.stderr)


def _progress(backend: Backend) -> list[progress.Progress]:
    try:
        names = [status.name for status in backend.statuses()]
    except RunError as error:  # what the other place knows is shown all the same
        print(f"[launch] {error.reason}", file=sys.stderr)
        return []
    return [row for name in names for row in Job(name, backend).progress()]


def tensorboard(values: Namespace) -> int:
    """Shows the curves of a job until Ctrl-C."""
    runs = open_backend(values).runs(values.operands[0])
    if values.backend == "kubernetes" and (kept := [r for r in runs if "://" not in r.workdir]):
        raise bad_flag(
            f"{kept[0].workdir or 'the workdir'} lies on a volume of the cluster, which is not "
            "read from here; a --workdir in a bucket is"
        )
    with _folders(runs) as folders, contextlib.suppress(KeyboardInterrupt):
        named = ",".join(f"{name}:{folder}" for name, folder in folders.items())
        words = ("--logdir_spec", named) if len(folders) > 1 else ("--logdir", *folders.values())
        place = ("--host", "127.0.0.1", "--port", str(values.port))
        return _run(Command((sys.executable, "-m", "tensorboard.main", *words, *place)))
    return 0


@contextlib.contextmanager
def _folders(runs: Sequence[Run]) -> Iterator[dict[str, str]]:
    """Gives the folder of each run, here; those of a bucket are copied again and again."""
    over = threading.Event()
    with tempfile.TemporaryDirectory(prefix="lockstep-") as copies:
        places = {run.name: f"{run.workdir.rstrip('/')}/tensorboard" for run in runs}
        remote = {n: (url, Path(copies) / n) for n, url in places.items() if "://" in url}
        if remote:
            _copy(list(remote.values()))
            follow = threading.Thread(target=_follow, args=(list(remote.values()), over))
            follow.start()
        try:
            yield places | {name: str(folder) for name, (_, folder) in remote.items()}
        finally:
            over.set()
            if remote:
                follow.join()


def _follow(places: Sequence[tuple[str, Path]], over: threading.Event) -> None:
    while not over.wait(_COPY_SECS):
        _copy(places)


def _copy(places: Sequence[tuple[str, Path]]) -> None:
    for url, folder in places:
        try:
            remote_files.copy(url, folder)
        except OSError as error:
            print(f"[launch] {url}: {error}", file=sys.stderr)


def attach(values: Namespace) -> int:
    """Prints the Python stacks of a worker, or opens a shell beside it."""
    backend = open_backend(values)
    return _run(backend.attach(values.operands[0], values.worker, with_shell=values.shell))


def _run(command: Command) -> int:
    directory = command.directory or None
    return subprocess.run(  # noqa: S603 - argument list, no shell
        command.words, env=command.environment, cwd=directory, check=False
    ).returncode
