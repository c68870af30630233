"""This project: `python -m benchmarks.peers.lockstep WORK [FIELD=VALUE ...]`.

FIELD is one of the config, or `cpu_replicas=R`, or `programs=kept`: as `--compile_cache` does, in
the folder that PROGRAMS names, or `batch=constant`: every step is given the same examples, so that
what remains is the step. Workers of TF_CONFIG are driven call by call, all alike.
"""

import gc
import os
import sys

import numpy as np

from benchmarks.peers import work
from trainer.config import PartConfig
from trainer.runtime import xla

JPEG_FEATURES = {
    "image": {"dtype": "uint8", "shape": [224, 224, 3], "encoding": "image"},
    "label": {"num_classes": 10},
}
MODELS = {
    "mlp": ("mlp", {}),
    "cnn": ("cnn", {"padding": "valid"}),
    "resnet": ("resnet", {"depth": 8}),
    "jpeg": ("benchmarks.peers.keras_fit:pooled", {}),
    "resnet50": ("resnet50", {}),
    "transformer": ("transformer", {}),
    "towers": ("benchmarks.peers.towers:towers", {}),
}
TASKS = {
    "transformer": PartConfig("language_model", {"vocabulary": work.VOCABULARY}),
    "towers": PartConfig("benchmarks.peers.towers:TwoTowers"),
}


def build(name: str) -> dict[str, dict[str, np.ndarray]]:
    """Return the dataset of a work."""
    if name in work.TRANSFORMERS:
        return {"train": {"tokens": work.tokens(name)}}
    if name == "towers":
        return {"train": {"pair": work.pairs()}}
    x, y = work.images(name)
    return {"train": {"image": x, "label": y}}


def main(name: str, *settings: str) -> None:
    gc.disable()  # as `trainer.__main__` does while it starts
    xla.fix_gpu_bits(os.environ)
    given = dict(setting.split("=") for setting in settings)
    if given.pop("programs", ""):
        xla.keep_programs(os.environ["PROGRAMS"], os.environ)
    from benchmarks.peers.keras_fit import device_bytes
    from common.cluster_description import read_cluster
    from trainer.cluster.placement import Placement
    from trainer.config import DatasetConfig, OptimizerConfig, TrainConfig, conversion
    from trainer.run.request import make_request
    from trainer.run.session import open_session

    cpu_replicas, is_constant = int(given.pop("cpu_replicas", 0)), given.pop("batch", "")
    kind = work.WORKS[name]
    work_of = name.partition("_")[0]
    model, options = MODELS[work_of]
    options = {**options, **work.TRANSFORMERS.get(name, {})}
    of_task = {"task": TASKS[work_of], "metrics": ()} if work_of in TASKS else {}
    data = DatasetConfig("benchmarks.peers.lockstep:build", eval_split="", args={"name": name})
    if name == "jpeg":
        pattern = str(work.jpeg_folder() / "{split}-*")
        arguments = {"features": JPEG_FEATURES}
        data = DatasetConfig(pattern, eval_split="", serve="stream", args=arguments)
    config = TrainConfig(
        train_steps=1_000_000,
        global_batch_size=kind.batch,
        precision=kind.precision,
        dataset=data,
        model=PartConfig(model, {**options, **({"dropout": kind.dropout} if kind.dropout else {})}),
        optimizer=OptimizerConfig("adam", learning_rate=work.RATE),
        **of_task,
    )
    config = conversion.override(config, given.items())
    if is_constant:
        _serve_the_same()
    placement = Placement(cpu_replicas=cpu_replicas, cluster=read_cluster(os.environ))
    live = open_session(make_request(config, placement))
    done = 1

    def run() -> int:
        nonlocal done
        live.train(done, kind.many)
        done += kind.many
        return kind.many

    def first() -> None:
        live.train(0, 1)
        gc.freeze()
        gc.enable()

    work.serve(first, run, device_bytes)


def _serve_the_same() -> None:
    import tensorflow as tf

    from trainer.data.serving.resident import ResidentPipeline

    def batch(
        pipeline: ResidentPipeline, selected: tuple, _: tf.Tensor, num_microbatches: int
    ) -> tuple:
        shape = [num_microbatches, pipeline._batches.microbatch_size]
        size = num_microbatches * pipeline._batches.microbatch_size
        same = {n: tf.reshape(x[:size], [*shape, *x.shape[1:]]) for n, x in selected[2].items()}
        return same, tf.ones(shape)

    ResidentPipeline.batch = batch


if __name__ == "__main__":
    main(*sys.argv[1:])
