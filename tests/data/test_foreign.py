"""Data that others wrote: what reaches the step is what they hold, or the run is refused."""

import google_crc32c
import numpy as np
import pytest
import tensorflow as tf

from common.exit_codes import ExitCode, RunError
from tests.data.shards import example, png, write_file
from tests.data.test_serve import pipeline_of
from trainer import storage
from trainer.config import DatasetConfig
from trainer.data import sources
from trainer.data.records import tfrecord
from trainer.data.records.files import Stage
from trainer.data.serving import reading

MODES = ("resident", "stream")


def config_of(folder, features, records, **fields):
    """Write records, in files of four, and return the dataset of them."""
    folder.mkdir(exist_ok=True)
    for start in range(0, len(records), 4):
        write_file(folder / f"train-{start:03d}.tfrecord", records[start : start + 4])
    name = str(folder / "{split}-*.tfrecord")
    return DatasetConfig(name, eval_split="", args={"features": features}, **fields)


def load(config):
    info = sources.describe(config)
    return reading.load(info, info.train, Stage())


def serve(config):
    """Serve the first steps, and fail as the inner loop does."""
    try:
        pipeline = pipeline_of(config, num_steps=2)
        prepared = pipeline.prepare(0, 2)
        for index in range(2):
            pipeline.batch(
                pipeline.select(prepared, tf.constant(index)), tf.constant(0, tf.int64), 2
            )
    except tf.errors.OpError as error:
        raise pipeline.cause(error, 0, 2) from None


def refused(config, *parts, code=ExitCode.BAD_DATA):
    with pytest.raises(RunError) as caught:
        serve(config)
    assert caught.value.code is code
    for part in parts:
        assert part in caught.value.reason


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


IMAGE = {"image": {"dtype": "uint8", "shape": [4, 4, 1], "encoding": "image"}}
TOKENS = {"shape": [6], "padded": True, "pad_value": 0}


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


def sequence_example(i):
    lists = tf.train.FeatureLists(
        feature_list={
            "tokens": tf.train.FeatureList(
                feature=[tf.train.Feature(int64_list=tf.train.Int64List(value=[i]))]
            )
        }
    )
    context = tf.train.Example.FromString(example(image=png(i))).features
    return tf.train.SequenceExample(context=context, feature_lists=lists).SerializeToString()


@pytest.mark.parametrize("padded", [True, False])
def test_lists_of_a_sequence_example_are_named(tmp_path, padded):
    spec = IMAGE | {"tokens": TOKENS if padded else {"shape": [1]}}
    config = config_of(tmp_path, spec, [sequence_example(i) for i in range(4)])
    refused(config, "'tokens'", "tf.train.SequenceExample")


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


@pytest.mark.parametrize("linked", ["files", "folder", "some"])
def test_links_are_followed(tmp_path, linked):
    config = config_of(tmp_path / "real", IMAGE, [example(image=png(i)) for i in range(12)])
    expected = load(config)["image"]
    data = tmp_path / "data"
    if linked == "folder":
        data.mkdir()
        (data / "inner").symlink_to(tmp_path / "real")
        name = str(data / "*" / "{split}-*.tfrecord")
    else:
        data.mkdir()
        for path in sorted((tmp_path / "real").iterdir()):
            place = data / path.name
            if linked == "files" or "004" in path.name:
                place.symlink_to(path)
            else:
                place.hardlink_to(path)
        name = str(data / "{split}-*.tfrecord")
    found = load(DatasetConfig(name, eval_split="", args={"features": IMAGE}))["image"]
    assert np.array_equal(found, expected)


def test_a_link_to_nothing_is_named(tmp_path):
    """As git-annex leaves it where a file was not fetched."""
    config = config_of(tmp_path, IMAGE, [example(image=png(0))])
    (tmp_path / "train-9.tfrecord").symlink_to(tmp_path / "gone")
    with pytest.raises(RunError, match=r"train-9\.tfrecord: is a link to .*gone") as caught:
        sources.describe(config)
    assert caught.value.code is ExitCode.BAD_DATA


def test_links_that_lead_back_end(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_bytes(b"1")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    assert [f.url for f in storage.list_files(f"{tmp_path}/**")] == [f"{tmp_path}/a/x"]


@pytest.mark.parametrize("sizes", [[], [0], [1, 0, 3], [5] * 70, [3, 70_000, 12, 1]])
def test_the_checksum_of_a_file_follows_from_its_index(tmp_path, sizes):
    """So that the same files have one fingerprint in a bucket, which tells it, and on a disk."""
    random = np.random.default_rng(0)
    path = tmp_path / "x.tfrecord"
    write_file(path, [random.bytes(size) for size in sizes])
    assert tfrecord.scan(path, "x").crc32c == google_crc32c.value(path.read_bytes())


def test_files_rewritten_with_equal_sizes_are_other_data(tmp_path):
    def info_of(label):
        records = [example(image=png(i), label=label if i == 9 else 0) for i in range(12)]
        return sources.describe(config_of(tmp_path, IMAGE, records))

    before, after = info_of(0), info_of(1)
    assert [s.num_bytes for s in before.train.shards] == [s.num_bytes for s in after.train.shards]
    assert before.fingerprint() != after.fingerprint()
    changed = [
        name for name, content in after.contents().items() if before.contents()[name] != content
    ]
    assert changed == ["train-008.tfrecord (train)"]
