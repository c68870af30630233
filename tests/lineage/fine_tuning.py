"""Fine-tunes a base in its two phases; prints what moved in each as JSON.

A process of its own: `python -m tests.lineage.fine_tuning FOLDER`.
"""

import dataclasses
import json
import pathlib
import sys

import keras
import numpy as np

from tests.behaviour.runs import UNSEEN
from tests.lineage.runs import run, state
from trainer.cluster import strategy
from trainer.config import TrainConfig, experiment_file

HERE = pathlib.Path(__file__).parent


def base(path: pathlib.Path) -> None:
    """Write a base that somebody else has trained: its statistics are no zeros and ones."""
    keras.utils.set_random_seed(1)
    model = keras.applications.MobileNet(
        input_shape=(32, 32, 3), alpha=0.25, include_top=False, pooling="avg", weights=None
    )
    rng = np.random.default_rng(0)
    model.set_weights([w + 0.1 * rng.random(w.shape, np.float32) for w in model.get_weights()])
    model.save(path)


def phase(name: str, workdir: pathlib.Path, parent: pathlib.Path) -> dict:
    config = experiment_file.load(str(HERE / f"{name}.py"))
    init = dataclasses.replace(config.init, from_=str(parent))
    return run(workdir, dataclasses.replace(config, init=init, dataset=UNSEEN))


def moved(before: dict, after: dict) -> list[str]:
    names = [name for name in after if name.startswith("main/")]
    return [n for n in names if not np.array_equal(before[n], after[n])]


def main(folder: pathlib.Path) -> None:
    strategy.configure_runtime(TrainConfig(epochs=1))  # before the base is made, as a run does it
    base(folder / "base.keras")
    one, two = folder / "one", folder / "two"
    phase("phase_one", one, folder / "base.keras")
    first = {"started": state(one, 0), "ended": state(one, 4)}
    end = phase("phase_two", two, one)
    second = {"started": state(two, 0), "ended": state(two, 4)}
    model = keras.saving.load_model(folder / "base.keras")
    given = {v.path: v.numpy() for v in model.variables}
    taken = {n.split("/", 2)[2]: first["started"][n] for n in first["started"] if "/head/" not in n}
    print(
        json.dumps(
            {
                "parent": end["parent"],
                "given": [path for path in given if not np.array_equal(given[path], taken[path])],
                "one": moved(first["started"], first["ended"]),
                "between": moved(first["ended"], second["started"]),
                "two": {
                    name: float(np.abs(second["ended"][name] - second["started"][name]).max())
                    for name in moved(second["started"], second["ended"])
                },
                "count": len(given),
            }
        )
    )


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
