"""Text from CSV files: `TextVectorization` in the model, so that an export takes plain text.

The files have the columns `text` and `label`, both text: the classes of a label are its distinct
texts, sorted. The vocabulary is an argument of the model, in the config, because what a model knows
must not depend on which file was read first. The first command writes the files:
reviews that a small grammar makes, in which "not" turns a word into its opposite.

Data: python -m examples.text_classification
Command: python -m trainer --config=examples/text_classification.py --workdir=runs/text
Result: accuracy >= 0.98; 1 after 500 steps
"""

import csv
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from trainer import DatasetConfig, ModelConfig, OptimizerConfig, PartConfig, TrainConfig

DATA = "runs/data/reviews"
GOOD, BAD = ("good", "clever", "funny", "warm"), ("bad", "stupid", "dull", "cold")
THINGS = ("film", "book", "play", "song", "story")
FILLERS = ("the", "was", "and", "not", "quite", "we", "thought", "it", "but", "because", "of")
VOCABULARY = [*GOOD, *BAD, *THINGS, *FILLERS]
WORDS = 14
"""Words that the model reads; shorter reviews are filled up."""


def review(random: np.random.Generator) -> tuple[str, str]:
    """Return a review and its label: the majority of its three opinions."""
    opinions, score = [], 0
    for _ in range(3):
        good, turned = random.random() < 0.5, random.random() < 0.4
        word = str(random.choice(GOOD if good else BAD))
        opinions.append(f"not {word}" if turned else word)
        score += 1 if good != turned else -1
    opening = random.choice(["the {} was", "we thought the {} was", "because of it the {} was"])
    said = f"{opinions[0]} and {opinions[1]} but {opinions[2]}"
    return f"{opening.format(random.choice(THINGS))} {said}", "likes" if score > 0 else "dislikes"


def write_data(folder: Path, train: int = 4000, test: int = 1000) -> None:
    """Write train.csv and test.csv into `folder`; the same bytes each time."""
    random = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    for split, count in (("train", train), ("test", test)):
        with (folder / f"{split}.csv").open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["text", "label"])
            rows.writerows(review(random) for _ in range(count))


def reader(input_shape: Sequence[int], num_outputs: int, *, width: int = 32) -> keras.Model:
    """Return a model from text string[B] to logits float32[B, num_outputs]."""
    del input_shape  # (): one text
    text = keras.Input((), dtype="string")
    words = keras.layers.TextVectorization(vocabulary=VOCABULARY, output_sequence_length=WORDS)(
        text
    )
    x = keras.layers.Embedding(len(VOCABULARY) + 2, width)(words)  # two more: filler, and unknown
    x = keras.layers.Conv1D(width, 2, padding="same", activation="relu")(x)  # sees "not good"
    x = keras.layers.Dense(width, activation="relu")(keras.layers.GlobalAveragePooling1D()(x))
    return keras.Model(text, keras.layers.Dense(num_outputs, dtype="float32")(x))


def get_config() -> TrainConfig:
    """Return the experiment."""
    return TrainConfig(
        epochs=8,
        global_batch_size=64,
        virtual_replicas=4,
        dataset=DatasetConfig(f"{DATA}/{{split}}.csv"),
        task=PartConfig("supervised", {"input": "text"}),
        model=ModelConfig(f"{__name__}:reader"),
        optimizer=OptimizerConfig("adam", learning_rate=5e-3, schedule=PartConfig("cosine")),
    )


if __name__ == "__main__":
    write_data(Path(DATA))
