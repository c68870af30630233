"""The lists of a SequenceExample: read where the spec says so, never as padding alone."""

import numpy as np
import pytest
import tensorflow as tf

from tests.data.foreign import MODES, config_of, load, refused


def feature(values):
    kinds = {bytes: "bytes_list", int: "int64_list", float: "float_list"}
    return tf.train.Feature(**{kinds[type(values[0])]: {"value": values}})


def sequence_example(context, **lists):
    """Serialize one; each list holds the values of its steps."""
    found = {n: {"feature": [feature(step) for step in steps]} for n, steps in lists.items()}
    return tf.train.SequenceExample(
        context={"feature": {n: feature(values) for n, values in context.items()}},
        feature_lists={"feature_list": found},
    ).SerializeToString()


RECORDS = [
    sequence_example(
        {"label": [i % 3]},
        tokens=[[j] for j in range(i + 1)],
        vectors=[[float(j), 1.5] for j in range(2)],
        frames=[[bytes([i, j])] for j in range(3)],
        words=[[b"a"]] * i,
    )
    for i in range(4)
]
LABEL = {"label": {"num_classes": 3}}
LISTS = {
    "tokens": {"shape": [5], "padded": True, "pad_value": -1, "sequence": True},
    "vectors": {"dtype": "float32", "shape": [2, 2], "sequence": True},
    "frames": {"dtype": "uint8", "shape": [3, 2], "encoding": "raw", "sequence": True},
    "words": {
        "dtype": "string", "shape": [4], "padded": True, "sequence": True, "pad_value": "-",
    },
}  # fmt: skip


def test_lists_of_every_kind_arrive(tmp_path):
    found = load(config_of(tmp_path, LABEL | LISTS, RECORDS))
    assert found["label"].tolist() == [0, 1, 2, 0]
    assert found["tokens"].tolist() == [[*range(i + 1), *[-1] * (4 - i)] for i in range(4)]
    assert found["vectors"].tolist() == [[[0.0, 1.5], [1.0, 1.5]]] * 4
    assert found["frames"].tolist() == [[[i, j] for j in range(3)] for i in range(4)]
    assert found["words"].tolist() == [[*[b"a"] * i, *[b"-"] * (4 - i)] for i in range(4)]


@pytest.mark.parametrize(
    ("name", "fields", "reason"),
    [
        ("tokens", {"shape": [3], "padded": True, "sequence": True}, "record .*holds 4 steps"),
        ("tokens", {"shape": [3], "sequence": True}, "record .*the list holds"),
        ("tokenz", {"shape": [3], "sequence": True}, "feature_lists are frames, tokens"),
        ("tokenz", {"shape": [3], "padded": True, "sequence": True}, "did you mean 'tokens'"),
        ("tokens", {"shape": [3], "padded": True}, 'feature_lists; write "sequence": true'),
        ("tokens", {"shape": [1]}, 'feature_lists; write "sequence": true'),
        ("vectors", {"shape": [2, 2], "sequence": True}, "key 'vectors'"),
        ("frames", LISTS["frames"] | {"shape": [3, 3]}, "key 'frames'"),
        ("tokens", LISTS["tokens"] | {"num_classes": 3}, "record .*a label in 0..2"),
    ],
)
@pytest.mark.parametrize("mode", MODES)
def test_lists_of_another_form_are_refused(tmp_path, name, fields, reason, mode):
    config = config_of(tmp_path, LABEL | {name: fields}, RECORDS, serve=mode)
    refused(config, *reason.split(".*"))


def test_what_was_padded_is_padding_and_nothing_else(tmp_path):
    """A list without steps is one; a key that no record holds is refused."""
    found = load(config_of(tmp_path, {"words": LISTS["words"]}, RECORDS))["words"]
    assert np.array_equal(found[0], [b"-"] * 4)
