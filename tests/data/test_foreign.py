"""Records that others wrote: what reaches the step is what they hold, or the run is refused."""

import numpy as np
import pytest
import tensorflow as tf

from common.exit_codes import ExitCode
from tests.data.foreign import IMAGE, MODES, TOKENS, config_of, load, refused
from tests.data.shards import example, png
from trainer.cluster.placement import Placement
from trainer.config import TrainConfig
from trainer.data.records.files import Stage
from trainer.data.serving import reading
from trainer.run.request import make_request

RAW = {"image": {"dtype": "uint8", "shape": [4, 4, 1], "encoding": "raw"}}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("wrong", [32, 8, 17, 0])
@pytest.mark.parametrize("which", ["all", "one"])
def test_raw_bytes_of_another_size_are_refused_and_never_recut(tmp_path, mode, wrong, which):
    sizes = [wrong if which == "all" or i == 2 else 16 for i in range(12)]
    records = [example(image=bytes([i]) * size) for i, size in enumerate(sizes)]
    config = config_of(tmp_path, RAW, records, serve=mode)
    record = "record " if which == "all" else "train-000.tfrecord: record 2 at byte"
    refused(config, record, f"key 'image' is not uint8[4, 4, 1] (raw): it holds {wrong} bytes")


@pytest.mark.parametrize("mode", MODES)
def test_an_image_of_another_size_is_refused(tmp_path, mode):
    large = tf.io.encode_png(np.zeros([8, 4, 1], np.uint8)).numpy()
    spec = {"image": {"dtype": "uint8", "shape": [4, 4, 1], "encoding": "image"}}
    records = [example(image=large if i == 5 else png(i)) for i in range(12)]
    config = config_of(tmp_path, spec, records, serve=mode)
    refused(config, "train-004.tfrecord: record 1 at byte", "key 'image'")


@pytest.mark.parametrize("mode", MODES)
def test_an_optional_key_that_no_record_holds_is_refused(tmp_path, mode):
    records = [example(image=png(i), tokens=[1, 2, i]) for i in range(12)]
    config = config_of(tmp_path, IMAGE | {"tokenz": TOKENS}, records, serve=mode)
    refused(
        config, "no record holds a value of the key 'tokenz'", "did you mean 'tokens'?", "image"
    )


def test_one_record_far_behind_that_holds_an_optional_key_is_enough(tmp_path):
    records = [example(image=png(i), **({"tokens": [7]} if i == 11 else {})) for i in range(12)]
    tokens = load(config_of(tmp_path, IMAGE | {"tokens": TOKENS}, records))["tokens"]
    assert np.array_equal(tokens[11], [7, 0, 0, 0, 0, 0])
    assert not tokens[:11].any()


@pytest.mark.parametrize(
    ("spec", "value", "kept"),
    [
        ({"dtype": "int32"}, 2**40, None),
        ({"dtype": "int32"}, -(2**31), -(2**31)),
        ({"dtype": "uint8"}, -5, None),
        ({"dtype": "uint8"}, 255, 255),
        ({"dtype": "uint8"}, 256, None),
        ({"dtype": "bool"}, 2, None),
        ({"dtype": "bool"}, 1, True),
        ({"dtype": "int64"}, -(2**62), -(2**62)),
        ({"dtype": "uint8", "num_classes": 300}, 270, None),
        ({"dtype": "int32", "num_classes": 300}, 270, 270),
        ({"dtype": "uint8", "num_classes": 10}, 10, None),
        ({"dtype": "float16"}, 1e6, None),
        ({"dtype": "float16"}, 0.5, 0.5),
        ({"dtype": "float32"}, float("inf"), np.inf),
        ({"dtype": "uint8", "shape": [2], "padded": True}, -1, None),
    ],
)
@pytest.mark.parametrize("mode", MODES)
def test_a_number_arrives_or_is_refused(tmp_path, spec, value, kept, mode):
    other = type(value)(0)
    records = [example(image=png(i), x=value if i == 6 else other) for i in range(12)]
    config = config_of(tmp_path, IMAGE | {"x": spec}, records, serve=mode)
    if kept is None:
        refused(config, "train-004.tfrecord: record 2 at byte", "key 'x'")
    else:
        assert np.array_equal(load(config)["x"], [kept if i == 6 else 0 for i in range(12)])


def test_images_of_16_bits_arrive_whole(tmp_path):
    deep = np.arange(12 * 16, dtype=np.uint16).reshape(12, 4, 4, 1) * 300
    records = [example(image=tf.io.encode_png(image).numpy()) for image in deep]
    spec = {"image": {"dtype": "uint16", "shape": [4, 4, 1], "encoding": "image"}}
    assert np.array_equal(load(config_of(tmp_path, spec, records))["image"], deep)
    refused(config_of(tmp_path, IMAGE, records), "record ", "16 bits a channel", '"uint16"')
    shallow = config_of(tmp_path, spec, [example(image=png(i)) for i in range(12)])
    refused(shallow, "record ", "8 bits a channel, not 16")


@pytest.mark.parametrize("value", [300, -1, 0.5, "x"])
def test_what_fills_up_has_to_be_a_value_of_the_feature(tmp_path, value):
    spec = {"x": {"dtype": "uint8", "shape": [4], "padded": True, "pad_value": value}}
    refused(config_of(tmp_path, spec, [example(x=1)]), "x.pad_value", code=ExitCode.BAD_CONFIG)


def test_a_compiled_run_leaves_strings_on_the_host(tmp_path):
    records = [example(image=png(i), name=b"x", label=i % 5) for i in range(12)]
    spec = IMAGE | {"name": {"dtype": "string"}, "label": {"num_classes": 5}}
    dataset = config_of(tmp_path, spec, records)
    for execution, names in {
        "graph": {"image", "name", "label"},
        "xla_step": {"image", "label"},
    }.items():
        config = TrainConfig(
            train_steps=2, global_batch_size=4, dataset=dataset, execution=execution
        )
        request = make_request(config, Placement())
        assert set(request.info.features) == names
        assert set(reading.load(request.info, request.info.train, Stage())) == names
