"""What the trainer says to command lines that are not run: for the linter of manifests.

Standard input: a JSON list of `{"args": [...], "env": {...}}`. Standard output: for each an object
with `refusal`, the line with which the run would end, or "", and `virtual_replicas` of the config
or 0. A file or folder that only the image has is not looked for. TensorFlow is not imported.
"""

import json
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from common.cluster_description import read_cluster
from common.exit_codes import RunError
from trainer.cluster import placement
from trainer.cluster.placement import Placement
from trainer.config import TrainConfig, checks, conversion, experiment_file, parts
from trainer.config.flags import FLAGS
from trainer.run.command_line import check_workdir, read_flags


def examine(args: Sequence[str], environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the refusal of one command line and the virtual replicas that it asks for."""
    found: dict[str, Any] = {"refusal": "", "virtual_replicas": 0}
    try:
        _forget()
        settings = read_flags(["trainer", *args])
        check_workdir()
        if not _is_elsewhere(FLAGS.config):
            config = _config(settings)
            found["virtual_replicas"] = config.virtual_replicas
            _check(config, args, environment)
    except RunError as error:
        found["refusal"] = error.reason
    return found


def _forget() -> None:
    """Take back what the command line before this one has set."""
    FLAGS.unparse_flags()
    for name in FLAGS:
        FLAGS[name].unparse()


def _is_elsewhere(name: str) -> bool:
    """Whether the experiment is a file of the image, which nobody can read here."""
    return "/" in name or pathlib.Path(name).suffix == ".py"


def _config(settings: Sequence[tuple[str, str]]) -> TrainConfig:
    return conversion.override(experiment_file.load(FLAGS.config), settings)


def _check(config: TrainConfig, args: Sequence[str], environment: Mapping[str, str]) -> None:
    checks.refuse_secrets(args, conversion.to_plain(config))
    parts.check_names(config)
    where = Placement(FLAGS.strategy, FLAGS.cpu_replicas, FLAGS.tpu, read_cluster(environment))
    placement.check(where, config.virtual_replicas)


if __name__ == "__main__":
    json.dump([examine(one["args"], one["env"]) for one in json.load(sys.stdin)], sys.stdout)
