"""Trains, predicts from many sources into every format, exports; prints what came of it as JSON.

A process of its own: `python -m tests.commands.predicted FOLDER`.
"""

import contextlib
import io
import json
import pathlib
import sys
import warnings

import keras
import numpy as np
import tensorflow as tf
from PIL import Image
from pyarrow import csv, parquet

from tests.data import written
from trainer import DatasetConfig, OptimizerConfig, PartConfig, TrainConfig, train
from trainer.commands import export, predict
from trainer.commands.restored import restore_task

HERE = "predicted"
"""As an experiment, this file vouches for what lies beside it."""
COUNT, BATCH = 13, 8  # the last batch is padded
RANDOM = np.random.default_rng(0)
WORDS = np.array(["red", "green", "blue"])
TWO = {
    "x": RANDOM.normal(size=(COUNT, 4)).astype(np.float32),
    "age": RANDOM.uniform(size=(COUNT, 1)).astype(np.float32),
    "box": RANDOM.normal(size=(COUNT, 1)).astype(np.float32),
    "label": RANDOM.integers(0, 3, COUNT),
}
TABLE = {
    "colour": WORDS[RANDOM.integers(0, 3, COUNT)],
    "size": RANDOM.normal(size=COUNT),
    "label": np.array(["no", "yes"])[RANDOM.integers(0, 2, COUNT)],
}
IMAGES = {
    "image": RANDOM.integers(0, 256, (COUNT, 8, 8, 3), dtype=np.uint8),
    "label": RANDOM.integers(0, 10, COUNT),
}
TOKENS = {"tokens": RANDOM.integers(0, 9, (COUNT, 6)).astype(np.int32)}


def data(name):
    return {"train": globals()[name], "test": globals()[name]}


def two(shapes, num_outputs):
    x, age = keras.Input((4,), name="x"), keras.Input((1,), name="age")
    both = keras.layers.Concatenate()([x, age])
    outputs = {name: keras.layers.Dense(n, name=name)(both) for name, n in num_outputs.items()}
    return keras.Model({"x": x, "age": age}, outputs)


def add_up(labels, outputs):
    box = tf.reduce_mean(tf.square(labels["box"] - outputs["box"]), -1)
    kinds = tf.nn.sparse_softmax_cross_entropy_with_logits(
        tf.cast(labels["label"], tf.int32), outputs["label"]
    )
    return box + kinds


class OfTable(keras.Model):
    def __init__(self, _, num_outputs):
        super().__init__()
        self.look = keras.layers.StringLookup(vocabulary=WORDS.tolist(), output_mode="one_hot")
        self.out = keras.layers.Dense(num_outputs)

    def call(self, inputs):
        colour, size = inputs["colour"], tf.cast(inputs["size"], tf.float32)
        looked_up = tf.cast(self.look(colour), tf.float32)
        return self.out(tf.concat([looked_up, size[:, tf.newaxis]], 1))


class Unsaved(keras.Model):
    """Has a function as an argument, and no `get_config`."""

    def __init__(self, activation, num_outputs):
        super().__init__()
        self.activation = activation
        self.flatten, self.out = keras.layers.Flatten(), keras.layers.Dense(num_outputs)

    def call(self, x):
        return self.out(self.activation(self.flatten(x)))


def unsaved(input_shape, num_outputs):
    return Unsaved(tf.sin, num_outputs)


def of_tokens(input_shape, num_outputs):
    tokens = keras.Input(input_shape, dtype="int32")
    hidden = keras.layers.GRU(4, return_sequences=True)(keras.layers.Embedding(9, 4)(tokens))
    return keras.Model(tokens, keras.layers.Dense(num_outputs)(hidden))


def config(name, model, **fields):
    dataset = DatasetConfig(f"{HERE}:data", args={"name": name}, roles=fields.pop("roles", {}))
    return TrainConfig(
        train_steps=1,
        global_batch_size=BATCH,
        virtual_replicas=2,
        dataset=fields.pop("dataset", dataset),
        model=PartConfig(f"{HERE}:{model}"),
        optimizer=OptimizerConfig("sgd", 0.1),
        **fields,
    )


def without(examples, *names):
    return {name: values for name, values in examples.items() if name not in names}


def predicted(run, *args):
    """Return the columns of a file that `predict` writes: name -> [N, ...]."""
    to = run.parent / "predicted.npz"
    predict.main([str(run), *map(str, args), f"--to={to}", f"--config={__file__}"])
    with np.load(to) as file:
        return dict(file)


def same(found, expected):
    """Whether predictions are equal to the bit, wherever they come from."""
    names = found.keys() - {"source"}
    return names == expected.keys() - {"source"} and all(
        np.array_equal(found[name], expected[name]) for name in names
    )


def of_two(folder):
    """Two named inputs and two outputs, compiled by XLA."""
    task = PartConfig(
        "supervised",
        {"input": {"x": "x", "age": "age"}, "label": {"box": "box", "label": "label"}},
    )
    run, none = folder / "run", ()
    loss = PartConfig(f"{HERE}:add_up")
    setting = config("TWO", "two", task=task, loss=loss, metrics=none, execution="xla_step")
    summary = train(setting, str(run)).summary
    own = predicted(run)
    unlabelled = without(TWO, "box", "label")
    np.savez(folder / "new.npz", **unlabelled)
    written.parquet_files(folder, unlabelled, "new")
    raw = json.dumps(written.tfrecords(folder, unlabelled).args)
    return {
        "loss": [float(np.mean(add_up(TWO, own))), summary["eval"]["loss"]],
        "same": {
            "npz": same(predicted(run, folder / "new.npz"), own),
            "parquet": same(predicted(run, f"{folder}/new-*.parquet"), own),
            "tfrecord": same(predicted(run, f"{folder}/train-*.tfrecord", f"--args={raw}"), own),
        },
        "columns": {name: values.shape for name, values in own.items()},
        "sources": own["source"][:2].tolist(),
        "csv": columns_of_csv(run, folder),
        "card": exported(run, folder, "--litert"),
        "litert": litert_difference(folder / "exported" / "model.tflite", own),
    }


def litert_difference(path, own):
    """Return how far LiteRT is from the predictions."""
    with warnings.catch_warnings(action="ignore"):  # of a move to another package
        call = tf.lite.Interpreter(str(path)).get_signature_runner()
    made = [call(x=TWO["x"][i : i + 1], age=TWO["age"][i : i + 1]) for i in range(COUNT)]
    return max(
        float(np.abs(np.concatenate([row[n] for row in made]) - own[n]).max())
        for n in ("box", "label")
    )


def columns_of_csv(run, folder):
    predict.main([str(run), f"--to={folder / 'two.csv'}", f"--config={__file__}"])
    table = csv.read_csv(folder / "two.csv")
    return {name: str(table.schema.field(name).type) for name in table.column_names}


def exported(run, folder, *flags):
    """Return what `export` says, prints, and how far its SavedModel is from the model."""
    to, printed = folder / "exported", io.StringIO()
    with contextlib.redirect_stdout(printed):
        export.main([str(run), f"--to={to}", f"--config={__file__}", *flags])
    return json.loads((to / "export.json").read_text()) | {"printed": printed.getvalue()}


def of_table(folder):
    """Text and numbers of a CSV; the label is text, too."""
    for split in ("train", "test"):
        csv.write_csv(written.table_of(TABLE), folder / f"{split}.csv")
    task = PartConfig("supervised", {"input": {"colour": "colour", "size": "size"}})
    dataset = DatasetConfig(str(folder / "{split}.csv"))
    run = folder / "run"
    summary = train(config("", "OfTable", task=task, dataset=dataset), str(run)).summary
    unlabelled = written.table_of(without(TABLE, "label"))
    csv.write_csv(unlabelled, folder / "new.csv")
    parquet.write_table(unlabelled, folder / "new.parquet")
    own = predicted(run)
    to = folder / "out.parquet"
    predict.main([str(run), str(folder / "new.csv"), f"--to={to}", f"--config={__file__}"])
    table = parquet.read_table(to)
    return {
        "accuracy": accuracy(own["largest"], TABLE["label"] == "yes", summary),
        "same": {
            "csv": same(predicted(run, folder / "new.csv"), own),
            "parquet": same(predicted(run, folder / "new.parquet"), own),
            "written": np.array_equal(table["outputs"].to_pylist(), own["outputs"]),
        },
        "source": table["source"].to_pylist()[-1].rpartition("/")[2],
        "types": [str(field.type) for field in table.schema],
        "card": exported(run, folder),
    }


def accuracy(classes, labels, summary):
    return [float(np.mean(classes == labels)), summary["eval"]["accuracy"]]


def of_images(folder):
    """Images, and a model that Keras cannot save."""
    run = folder / "run"
    summary = train(config("IMAGES", "unsaved", roles={"image": "image"}), str(run)).summary
    images = folder / "images"
    for place, image in enumerate(IMAGES["image"]):
        path = images / str(place % 2) / f"{place:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    in_order = [*range(0, COUNT, 2), *range(1, COUNT, 2)]
    np.save(folder / "new.npy", IMAGES["image"][in_order])
    own, of_files = predicted(run), predicted(run, images)
    card = exported(run, folder)
    saved_model = tf.saved_model.load(str(folder / "exported" / "saved_model"))
    scaled = IMAGES["image"].astype(np.float32) / 255
    return {
        "accuracy": accuracy(own["largest"], IMAGES["label"], summary),
        "same": {
            "folder": np.array_equal(of_files["outputs"], own["outputs"][in_order]),
            "npy": same(predicted(run, folder / "new.npy"), of_files),
            "restored": restore_task(str(run), __file__).digest == summary["state_digest"],
        },
        "sources": [name.removeprefix(f"{images}/") for name in of_files["source"].tolist()],
        "saved_model": float(np.abs(saved_model.serve(scaled).numpy() - own["outputs"]).max()),
        "card": card,
    }


def of_sequence(folder):
    """Tokens in, a distribution for each token out."""
    run, task = folder / "run", PartConfig("language_model", {"vocabulary": 9})
    summary = train(config("TOKENS", "of_tokens", task=task, metrics=()), str(run)).summary
    np.save(folder / "new.npy", TOKENS["tokens"])
    own, to = predicted(run), folder / "out.parquet"
    predict.main([str(run), f"--to={to}", f"--config={__file__}"])
    hits = own["outputs"].argmax(-1) == TOKENS["tokens"][:, 1:]
    return {
        "accuracy": [float(hits.mean()), summary["eval"]["token_accuracy"]],
        "same": {
            "npy": same(predicted(run, folder / "new.npy"), own),
            "written": np.array_equal(
                parquet.read_table(to)["outputs"].to_pylist(), own["outputs"]
            ),
        },
        "card": exported(run, folder, "--litert"),
    }


def main(folder):
    found = {}
    for case in (of_two, of_table, of_images, of_sequence):
        print(case.__name__, file=sys.stderr)
        place = folder / case.__name__
        place.mkdir()
        found[case.__name__] = case(place)
    print(json.dumps(found))


def get_config():
    """Vouch for the parts of this file, which runs name."""
    return TrainConfig(epochs=1)


if __name__ == "__main__":
    sys.path.insert(0, str(pathlib.Path(__file__).parent))
    main(pathlib.Path(sys.argv[1]))
