"""`python -m trainer.run.preflight`: command lines judged without TensorFlow and without data.

The launcher runs it before it sends a job; the linter runs it for the trainer arguments in
manifests. Standard input is a JSON list of `{"args": [...], "env": {...}, "files": bool}`. Standard
output is a list of `{"code": int, "refusal": str, "virtual_replicas": int}`: the exit code and the
line with which the run would end, or 0 and "". An experiment that imports a missing package is not
judged here; with `files` false, neither is any experiment in a file, because only the image has it.
"""

import contextlib
import importlib.machinery
import json
import pathlib
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

from common.cluster_description import read_cluster
from common.exit_codes import RunError
from trainer import user_code
from trainer.cluster import placement
from trainer.cluster.placement import Placement
from trainer.config import TrainConfig, checks, conversion, experiment_file, parts
from trainer.config.flags import FLAGS
from trainer.run.command_line import check_workdir, read_flags

_HEAVY = ("tensorflow", "keras")


class _LeaveOut:
    """Makes the import of TensorFlow an error: it takes seconds, and is not on every machine."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """See `importlib.abc.MetaPathFinder`."""
        del path, target
        if name in _HEAVY:
            raise ImportError(f"{name} is left out of this check")
        return None


def main() -> None:
    """Judge the command lines of standard input."""
    sys.meta_path.insert(0, _LeaveOut())
    with contextlib.redirect_stdout(sys.stderr):  # an experiment may print
        judged = [_judge(one["args"], one["env"], one["files"]) for one in json.load(sys.stdin)]
    json.dump(judged, sys.stdout)


def _judge(args: Sequence[str], environment: Mapping[str, str], files: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"code": 0, "refusal": "", "virtual_replicas": 0}
    try:
        _forget()
        settings = read_flags(["trainer", *args])
        check_workdir()
        if files or not _is_file(FLAGS.config):
            with user_code.refusing_exit():
                config = conversion.override(experiment_file.load(FLAGS.config), settings)
            found["virtual_replicas"] = config.virtual_replicas
            _check(config, args, environment)
    except RunError as error:
        if not isinstance(error.__cause__, ImportError):
            found |= {"code": error.code.value, "refusal": error.reason}
    return found


def _forget() -> None:
    """Take back what the command line before this one has set."""
    FLAGS.unparse_flags()
    for name in FLAGS:
        FLAGS[name].unparse()


def _is_file(name: str) -> bool:
    return "/" in name or pathlib.Path(name).suffix == ".py"


def _check(config: TrainConfig, args: Sequence[str], environment: Mapping[str, str]) -> None:
    checks.refuse_secrets(args, conversion.to_plain(config))
    parts.check_names(config)
    where = Placement(FLAGS.strategy, FLAGS.cpu_replicas, FLAGS.tpu, read_cluster(environment))
    placement.check(where, config.virtual_replicas)


if __name__ == "__main__":
    main()
