"""Tabular regression from Parquet files, with numbers and categories.

A column is a feature. `{split}` in the name of the files stands for the split; a category is text
(dictionary-encoded in the file), which `StringLookup` and `Embedding` make a vector of. A model
with several inputs takes a dictionary: input -> column. The first command writes
the files: hourly hires of bicycles, made from a seed, whose noise has a standard deviation of 10.
So no model can have a mean squared error below 100 by more than chance.

Data: python -m examples.tabular
Command: python -m trainer --config=examples/tabular.py --workdir=runs/tabular
Result: loss <= 105; 100.8 after 1,920 steps
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from trainer import DatasetConfig, ModelConfig, OptimizerConfig, PartConfig, TrainConfig

DATA = "runs/data/hires"
CATEGORIES = {
    "weather": ["clear", "cloudy", "rain", "snow"],
    "day": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"],
}
NUMBERS = {"hour": (11.5, 6.9), "degrees": (12.0, 8.0), "wind": (10.0, 5.0)}
"""Column -> mean and standard deviation, by which the model scales it."""


def hires(random: np.random.Generator, count: int) -> dict[str, Any]:
    """Return column -> one value for each hour."""
    weather = random.choice(4, count, p=[0.5, 0.3, 0.15, 0.05])
    day, hour = random.integers(0, 7, count), random.integers(0, 24, count)
    degrees, wind = random.normal(12, 8, count), np.abs(random.normal(10, 5, count))
    commute = 120 * (np.exp(-((hour - 8) ** 2) / 3) + np.exp(-((hour - 17) ** 2) / 5))
    leisure = 80 * np.exp(-((hour - 14) ** 2) / 18)
    wish = 20 + np.where(day < 5, commute, leisure) * (1 - np.exp(-np.maximum(degrees, 0) / 10))
    mean = wish * np.array([1.0, 0.9, 0.4, 0.1])[weather] * np.exp(-wind / 60)
    return {
        "weather": np.array(CATEGORIES["weather"])[weather],
        "day": np.array(CATEGORIES["day"])[day],
        "hour": hour.astype(np.float32),
        "degrees": degrees.astype(np.float32),
        "wind": wind.astype(np.float32),
        "hires": (mean + random.normal(0, 10, count)).astype(np.float32),
    }


def write_data(folder: Path) -> None:
    """Write train.parquet and test.parquet into `folder`; the same values each time."""
    random = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    for split, count in (("train", 8192), ("test", 2048)):
        columns = {
            name: pa.array(values).dictionary_encode() if name in CATEGORIES else values
            for name, values in hires(random, count).items()
        }
        pq.write_table(pa.table(columns), folder / f"{split}.parquet")


def regressor(
    input_shape: Mapping[str, tuple[int, ...]], num_outputs: int, *, hidden: int = 64
) -> keras.Model:
    """Return a model from a dictionary of columns, each [B], to float32[B, num_outputs]."""
    inputs = {
        name: keras.Input(shape, name=name, dtype="string" if name in CATEGORIES else "float32")
        for name, shape in input_shape.items()
    }
    read = []
    for name, words in CATEGORIES.items():
        ids = keras.layers.StringLookup(vocabulary=words, num_oov_indices=0)(inputs[name])
        read.append(keras.layers.Embedding(len(words), 4)(ids))
    for name, (mean, spread) in NUMBERS.items():
        read.append(keras.ops.expand_dims((inputs[name] - mean) / spread, -1))
    x = keras.layers.Concatenate()(read)
    for _ in range(3):
        x = keras.layers.Dense(hidden, activation="gelu")(x)
    return keras.Model(inputs, keras.layers.Dense(num_outputs)(x))


def get_config() -> TrainConfig:
    """Return the experiment."""
    columns = {name: name for name in (*CATEGORIES, *NUMBERS)}
    return TrainConfig(
        epochs=30,
        global_batch_size=128,
        virtual_replicas=4,
        dataset=DatasetConfig(f"{DATA}/{{split}}.parquet"),
        task=PartConfig("supervised", {"input": columns, "label": "hires"}),
        model=ModelConfig(f"{__name__}:regressor"),
        loss=PartConfig("mse"),
        metrics=(PartConfig("mean_absolute_error"),),
        optimizer=OptimizerConfig("adam", learning_rate=5e-3, schedule=PartConfig("cosine")),
    )


if __name__ == "__main__":
    write_data(Path(DATA))
