"""Draws in a layer, each in another way; what `--fast_dev_run` has to say of it."""

import pathlib
from collections.abc import Iterator

from tests.mistakes.mutations import Mutant

_FILE = pathlib.Path(__file__).parent / "custom_task.py"
_RIGHT = "keras.random.normal(keras.ops.shape(x), seed=self.seeds)"
_LINE = next(n for n, line in enumerate(_FILE.read_text().splitlines(), 1) if _RIGHT in line)

DRAWS = {
    "a generator that the layer holds": (_RIGHT, ""),
    "Keras without a seed": ("keras.random.normal(keras.ops.shape(x))", ""),
    "Keras with a number": (
        "keras.random.normal(keras.ops.shape(x), seed=3)",
        f"mine.py:{_LINE}: the seed is a constant: every microbatch and step draws the same",
    ),
    "TensorFlow with a constant": (
        "tf.random.stateless_normal(x.shape, seed=[1, 2])",
        f"mine.py:{_LINE}: the seed is a constant: every microbatch and step draws the same",
    ),
    "TensorFlow's global generator": (
        "tf.random.normal(x.shape)",
        f"mine.py:{_LINE}: RandomStandardNormal ",
    ),
    "NumPy": ("np.random.normal(size=x.shape)", f"mine.py:{_LINE}: a number that Python makes"),
    "the random module": (
        "__import__('random').gauss(0, 1)",
        f"mine.py:{_LINE}: a number that Python makes",
    ),
    "Python decides": (
        "(x if next(self.__dict__.setdefault('n', __import__('itertools').count())) % 2"
        " else -keras.ops.sin(x))",
        "the step is another one when it is traced again",
    ),
    "the replicas": (
        "tf.distribute.get_replica_context().num_replicas_in_sync",
        "1 and 2 replicas end in other states",
    ),
}
"""Name -> what is written in the place of the right draw, and what is said; "": nothing."""


def mutants() -> Iterator[Mutant]:
    """Yield the file with each of the draws."""
    text = _FILE.read_text()
    for name, (written, _) in DRAWS.items():
        yield Mutant("drawn", name, text.replace(_RIGHT, written))
