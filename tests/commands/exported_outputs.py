"""Trains, exports, and prints how far the exported outputs are from those of training, as JSON.

Also the held-out loss of what `predict` returns, next to the one that the run reported.

A process of its own: `python -m tests.commands.exported_outputs FOLDER`.
"""

import json
import pathlib
import sys

import keras
import numpy as np
import tensorflow as tf

from trainer import OptimizerConfig, PartConfig, TrainConfig, train
from trainer.commands import export, predict_input, predict_outputs
from trainer.commands.restored import restore_task
from trainer.data.augment.preprocess import scale_pixels
from trainer.data.records.files import Stage
from trainer.data.serving import reading
from trainer.engine.virtual_replica import VirtualReplicaState, map_microbatches

CONFIG = TrainConfig(
    train_steps=40,
    global_batch_size=32,
    virtual_replicas=4,
    model=PartConfig("cnn", {"batch_norm": True, "dropout": 0.3}),
    optimizer=OptimizerConfig("adam", learning_rate=2e-3),
    ema_decay=0.9,
)


def training_time_outputs(task, values):
    """Return what a microbatch of a step sees, inside its scope: [N, K]; N is a multiple."""
    state = VirtualReplicaState(task)

    def microbatch(carried, inputs, step):
        batch, _, key = inputs
        with state.scope(carried, key, hashed=False):
            return {"outputs": task.model(batch["image"], training=False)}

    @tf.function(autograph=False)
    def run(batch):
        inputs = {"image": batch}, tf.ones(batch.shape[:2]), tf.zeros([batch.shape[0], 2], tf.int64)
        carried = [tf.convert_to_tensor(v.value) for v in state.carried]
        step = tf.constant(0, tf.int64)
        return map_microbatches(microbatch, carried, inputs, step, compiled=False)["outputs"]

    return run(tf.constant(values)).numpy()


def cross_entropy(logits, labels):
    """Return the mean loss of logits [N, K] and classes [N]."""
    log_sums = np.log(np.exp(logits.astype(np.float64)).sum(-1))
    return float((log_sums - logits[np.arange(len(labels)), labels.astype(np.int64)]).mean())


def main(folder: pathlib.Path) -> None:
    summary = train(CONFIG, str(folder / "run")).summary
    restored = restore_task(str(folder / "run"))
    assert restored.digest == summary["state_digest"]
    export.write(restored, folder / "exported")
    split = restored.info.evaluation
    held_out = reading.load(restored.info, split, Stage())
    info = predict_input.describe(restored, predict_outputs.features_read(restored))
    rows = [part["outputs"] for part in predict_outputs.rows(restored, info)]
    predicted = np.concatenate(rows)
    loss = cross_entropy(predicted, held_out["label"])
    images = held_out["image"][: 32 * (len(held_out["image"]) // 32)]
    # In a graph, as for a step: there TensorFlow multiplies by 1 / 255, whose last bit differs.
    scale = tf.function(lambda x: scale_pixels(x, restored.info.features["image"]))
    microbatches = scale(images).numpy().reshape([-1, 8, *images.shape[1:]])
    expected = training_time_outputs(restored.task, microbatches).reshape([len(images), -1])
    loaded = keras.saving.load_model(folder / "exported" / "model.keras")
    saved_model = tf.saved_model.load(str(folder / "exported" / "saved_model"))
    found = {
        "predict": predicted[: len(images)],
        "keras": np.concatenate(
            [loaded(microbatch, training=False).numpy() for microbatch in microbatches]
        ),
        "saved_model": np.concatenate(
            [saved_model.serve(microbatch).numpy() for microbatch in microbatches]
        ),
    }
    differences = {n: float(np.abs(v - expected).max()) for n, v in found.items()}
    print(json.dumps({"differences": differences, "loss": [loss, summary["eval"]["loss"]]}))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
