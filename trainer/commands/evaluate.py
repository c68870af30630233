"""`python -m trainer evaluate RUN`: loss and metrics of a checkpoint, on its data or on others."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from common.exit_codes import ExitCode, RunError
from trainer.commands import Parser, add_checkpoint
from trainer.config import DatasetConfig, TrainConfig
from trainer.data.info import Feature
from trainer.runtime import quiet


def main(args: Sequence[str]) -> None:
    """Run the command."""
    parser = Parser(
        "evaluate", "Print the loss and the metrics of a checkpoint as one JSON object."
    )
    parser.add_argument("workdir", help="folder or URL of the run")
    parser.add_argument("--split", default="", help="split or slice; default: that of the run")
    parser.add_argument(
        "--data", default="", help="source with the same features; default: the run's"
    )
    parser.add_argument("--config", default="", help="experiment file that the run used")
    add_checkpoint(parser)
    flags = parser.parse_args(args)
    with quiet.loading():
        values = evaluate(
            flags.workdir, flags.config, flags.checkpoint, split=flags.split, data=flags.data
        )
    print(json.dumps(values))


def evaluate(
    where: str, experiment: str = "", which: str = "newest", *, split: str = "", data: str = ""
) -> dict[str, Any]:
    """Return "step", "split", "loss" and every metric, as the run would have evaluated them.

    Args:
        where: workdir, a path or URL.
        experiment: that the run used, if it names code.
        which: `newest`, `best` or a step.
        split: to evaluate on; empty: that of the run.
        data: source to take it from; empty: that of the run.

    Raises:
        RunError: BAD_FLAG where there is no such checkpoint or nothing to evaluate on.
    """
    from trainer.cluster.placement import Placement
    from trainer.commands import restored
    from trainer.data import sources
    from trainer.data.sources import roles
    from trainer.plan import Plan
    from trainer.run import evaluation
    from trainer.run.request import Request
    from trainer.run.session import open_session

    own, state, meta = restored.read(where, experiment, which)
    config = dataclasses.replace(own, dataset=_dataset(own, split, data))
    info = sources.describe(roles.of_task(config))
    if any(feature.classes for feature in info.features.values()):
        # Classes of text are numbered in their sorted order: other texts have other numbers.
        _refuse_other_classes(info.features, sources.describe(roles.of_task(own)).features)
    if config.execution != "graph":
        info = info.without_strings()
    if info.evaluation is None:
        raise RunError(
            ExitCode.BAD_FLAG, f"evaluate: {where} has no evaluation split; give --split"
        )
    batch, microbatches = config.global_batch_size, config.virtual_replicas
    num_train, num_eval = info.train.num_examples, info.evaluation.num_examples
    plan = Plan(1, num_train, batch, microbatches, num_eval)  # nothing is trained
    session = open_session(Request(config, info, plan, Placement()), is_for_training=False)
    restored.write(session.task, state, where)
    values = evaluation.evaluate(session, meta.step)
    dataset = config.dataset
    held = f"{dataset.train_split}, the last {dataset.holdout}"
    split = held if dataset.holdout else dataset.eval_split
    return {"step": meta.step, "split": split, **(values or {})}


def _dataset(config: TrainConfig, split: str, data: str) -> DatasetConfig:
    dataset = config.dataset
    if split:
        dataset = dataclasses.replace(dataset, eval_split=split, holdout=0)
    if data:  # of which no other split has to be there
        from trainer.commands import predict_input
        from trainer.data import sources

        name = predict_input.source_name(data)
        if not split:
            split = dataset.eval_split if sources.has_splits(name, dataset.args) else "train"
        dataset = dataclasses.replace(
            dataset,
            name=name,
            train_split=split,
            eval_split=split,
            holdout=0,
            skip_list="",
            skip_bad_records=False,
        )
    return dataset


def _refuse_other_classes(here: Mapping[str, Feature], of_run: Mapping[str, Feature]) -> None:
    for name, feature in here.items():
        if name in of_run and feature.classes != of_run[name].classes:
            raise RunError(
                ExitCode.BAD_DATA,
                f"evaluate: feature {name!r} has the classes {list(feature.classes)}, and "
                f"{list(of_run[name].classes)} in the data of the run; give data with the same",
            )
