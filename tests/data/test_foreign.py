"""Data that others wrote: what reaches the step is what they hold, or the run is refused."""

import gzip
import zlib

import google_crc32c
import numpy as np
import pytest
import tensorflow as tf

from common.exit_codes import ExitCode, RunError
from tests.data.shards import example, png, write_file
from tests.data.test_serve import pipeline_of
from trainer import storage
from trainer.cluster.placement import Placement
from trainer.config import DatasetConfig, PartConfig, TrainConfig
from trainer.data import sources
from trainer.data.augment import preprocess
from trainer.data.info import Feature
from trainer.data.records import decode, tfrecord
from trainer.data.records.files import Stage
from trainer.data.serving import reading
from trainer.data.sources import roles
from trainer.run.request import make_request
from trainer.tasks.supervised import Supervised

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


def arrays_of(monkeypatch, arrays, **fields):
    """Return what is known of a custom dataset of these arrays, the same for both splits."""
    monkeypatch.setitem(ARRAYS, "all", {"train": arrays, "test": arrays})
    dataset = DatasetConfig("tests.data.test_foreign:build", **fields.pop("dataset", {}))
    config = TrainConfig(epochs=1, dataset=dataset, **fields)
    return sources.describe(roles.of_task(config))


ARRAYS: dict = {}


def build():
    return ARRAYS["all"]


X = np.arange(64, dtype=np.float32).reshape(16, 4)
CLASSES = np.arange(16) % 3
MSE = {"loss": PartConfig("mse")}


@pytest.mark.parametrize(
    "label",
    [
        CLASSES[:, np.newaxis],
        CLASSES.astype(">i4"),
        CLASSES.astype(np.float64),
        CLASSES.astype(np.float32)[:, np.newaxis],
        CLASSES.astype(">f8"),
        CLASSES.astype(np.uint8),
        np.ma.masked_array(CLASSES),
    ],
    ids=lambda label: f"{label.dtype.str}{list(label.shape)}",
)
def test_the_classes_of_a_label_are_counted_whatever_its_form(monkeypatch, label):
    info = arrays_of(monkeypatch, {"x": X, "label": label})
    assert info.features["label"].num_classes == 3
    assert info.features["label"].shape == ()
    assert np.array_equal(info.train.rows()["label"], CLASSES)


def test_a_label_of_two_truths_has_two_classes(monkeypatch):
    info = arrays_of(monkeypatch, {"x": X, "label": CLASSES > 0})
    assert info.features["label"].num_classes == 2
    assert np.array_equal(info.train.rows()["label"], CLASSES > 0)


@pytest.mark.parametrize("values", [np.arange(16) - 39, np.arange(16) * 70_000, CLASSES])
def test_whole_numbers_that_are_no_label_have_no_classes(monkeypatch, values):
    info = arrays_of(monkeypatch, {"x": X, "label": CLASSES, "temperature": values})
    assert info.features["temperature"].num_classes is None
    assert np.array_equal(info.train.rows()["temperature"], values)
    target = arrays_of(monkeypatch, {"x": X, "label": values}, **MSE)
    assert target.features["label"].num_classes is None
    feature, num_outputs = Supervised.model_shapes(target.features, input="x")["main"]
    assert (feature.shape, num_outputs) == ((4,), 1)


def test_the_feature_that_the_task_calls_its_label_is_counted(monkeypatch):
    task = PartConfig("supervised", {"input": "x", "label": "species"})
    info = arrays_of(monkeypatch, {"x": X, "species": CLASSES, "label": CLASSES - 5}, task=task)
    assert info.features["species"].num_classes == 3


@pytest.mark.parametrize(
    ("arrays", "code", "reason"),
    [
        ({"x": np.ma.masked_array(X, X > 60)}, ExitCode.BAD_DATA, "'x': 3 values are masked"),
        ({"x": X.astype(np.longdouble)}, ExitCode.BAD_CONFIG, "'x': float128"),
        ({"x": X, "label": CLASSES - 1}, ExitCode.BAD_DATA, "'label': example 0 is -1.*target"),
    ],
)
def test_what_cannot_be_counted_or_held_is_named(monkeypatch, arrays, code, reason):
    with pytest.raises(RunError, match=reason) as caught:
        arrays_of(monkeypatch, arrays)
    assert caught.value.code is code


def test_big_endian_numbers_arrive(monkeypatch):
    info = arrays_of(monkeypatch, {"x": X.astype(">f4"), "label": CLASSES})
    assert info.features["x"].dtype == "float32"
    assert np.array_equal(info.train.rows()["x"], X)


@pytest.mark.parametrize(
    ("name", "shape", "role"),
    [
        ("image", (8, 8, 3), "image"),
        ("image", (8, 8, 1), "image"),
        ("mask", (8, 8, 1), "mask"),
        ("segmentation_mask", (8, 8, 1), "mask"),
        ("board", (8, 8, 12), None),
        ("x", (8, 8, 1), None),
    ],
)
def test_bytes_of_the_form_of_an_image_need_a_role(monkeypatch, name, shape, role):
    arrays = {name: np.zeros((16, *shape), np.uint8), "label": CLASSES}
    if role is None:
        with pytest.raises(RunError, match=f"'{name}' is uint8.*--config.dataset.roles=") as caught:
            arrays_of(monkeypatch, arrays)
        assert caught.value.code is ExitCode.BAD_CONFIG
    else:
        assert arrays_of(monkeypatch, arrays).features[name].role == role
    for given in ("image", "input", "mask"):
        info = arrays_of(monkeypatch, arrays, dataset={"roles": {name: given}})
        assert info.features[name].role == given
        stored = tf.constant(np.full((1, 2, *shape), 200, np.uint8))
        seen = preprocess.make_preprocess(info.features)({name: stored}, tf.zeros([1, 2], tf.int64))
        assert np.allclose(seen[name], 200 / 255 if given == "image" else 200)


def test_images_of_16_bits_are_seen_from_0_to_1():
    deep = Feature((1, 2, 1), "uint16", encoding="image", role="image")
    values = tf.constant([[[[[0], [65535]]]]], tf.uint16)
    assert np.array_equal(preprocess.scale_pixels(values, deep).numpy().ravel(), [0, 1])


def test_the_label_of_a_task_is_no_image_and_its_image_may_be_the_target(monkeypatch):
    pixels = np.zeros((16, 8, 8, 1), np.uint8)
    task = PartConfig("supervised", {"label": "regions"})
    info = arrays_of(monkeypatch, {"image": pixels, "regions": pixels}, task=task)
    assert info.features["regions"].role == "mask"
    both = PartConfig("supervised", {"label": "image"})
    info = arrays_of(monkeypatch, {"image": pixels}, task=both, **MSE)
    assert info.features["image"].role == "image"


def test_a_mask_is_resized_to_classes_that_it_holds(tmp_path):
    place = np.hypot(*np.mgrid[-50:50, -60:60])[..., np.newaxis]
    mask = np.where(place < 35, 15, 0).astype(np.uint8)
    record = example(mask=tf.io.encode_png(mask).numpy())
    feature = Feature((64, 64, 1), "uint8", encoding="image", resized=True, role="mask")
    found = decode.make_parser({"mask": feature})(tf.constant([record]))["mask"].numpy()
    assert set(np.unique(found)) == {0, 15}


GEOMETRIC = ["flip", "pad_and_crop", "random_resized_crop"]


@pytest.mark.parametrize("name", GEOMETRIC)
@pytest.mark.parametrize("said", [False, True])
def test_a_mask_moves_with_its_image(name, said):
    """Whether the config names the mask or not: one draw for an example."""
    features = {
        "image": Feature((8, 8, 1), "uint8", role="image"),
        "mask": Feature((8, 8, 1), "uint8", role="mask"),
    }
    random = np.random.default_rng(0)
    pixels = np.repeat(np.repeat(random.integers(0, 2, (4, 8, 2, 2, 1)), 4, 2), 4, 3) * 255
    batch = {n: tf.constant(pixels, tf.uint8) for n in features}
    augment = [PartConfig(name)] + [PartConfig(name, {"feature": "mask"})] * said
    positions = tf.reshape(tf.range(32, dtype=tf.int64), [4, 8])
    seen = preprocess.make_preprocess(features, augment, seed=3)(batch, positions)
    mask, image = seen["mask"].numpy(), seen["image"].numpy() * 255
    assert mask.dtype == np.uint8
    assert set(np.unique(mask)) == {0, 255}
    assert not np.array_equal(mask, pixels)
    inside = (image == 0) | (image == 255)  # the others are blended of both classes
    assert inside.mean() > 0.5
    assert np.array_equal(mask[inside], image[inside])


def test_two_moves_of_one_image_are_two_draws():
    features = {n: Feature((8, 8, 1), "uint8", role="image") for n in ("image", "depth")}
    twice = [PartConfig("flip", {"feature": n}) for n in ("image", "depth", "image", "depth")]
    pixels = tf.constant(np.random.default_rng(0).integers(0, 255, (4, 8, 8, 8, 1)), tf.uint8)
    positions = tf.reshape(tf.range(32, dtype=tf.int64), [4, 8])
    made = preprocess.make_preprocess(features, twice, seed=3)
    seen = made(dict.fromkeys(features, pixels), positions)
    assert np.array_equal(seen["image"], seen["depth"])
    once = preprocess.make_preprocess(features, twice[:1], seed=3)
    assert not np.array_equal(once({"image": pixels}, positions)["image"], seen["image"])


@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress, lambda d: zlib.compress(d, 9)])
@pytest.mark.parametrize("mode", MODES)
def test_compressed_files_are_read_as_plain_ones(tmp_path, compress, mode):
    config = config_of(tmp_path, IMAGE, [example(image=png(i)) for i in range(12)], serve=mode)
    before, expected = sources.describe(config), load(config)["image"]
    for path in tmp_path.glob("train-*"):
        path.write_bytes(compress(path.read_bytes()))
    storage.forget()
    serve(config)
    assert np.array_equal(load(config)["image"], expected)
    after = sources.describe(config)
    assert [s.crc32c for s in after.train.shards] == [s.crc32c for s in before.train.shards]


@pytest.mark.parametrize("damage", [lambda d: d[:-9], lambda d: d[:30] + b"xxxx" + d[34:]])
def test_a_damaged_compressed_file_is_named(tmp_path, damage):
    config = config_of(tmp_path, IMAGE, [example(image=png(i)) for i in range(4)])
    path = tmp_path / "train-000.tfrecord"
    path.write_bytes(damage(gzip.compress(path.read_bytes())))
    refused(config, f"{path}: is compressed and")


def test_a_record_as_long_as_the_mark_of_a_compressed_file_is_plain(tmp_path):
    records = [example(image=bytes(0x9C78 - 27)) for _ in range(4)]
    assert len(records[0]) == 0x9C78
    spec = {"image": {"dtype": "uint8", "shape": [0x9C78 - 27], "encoding": "raw"}}
    assert load(config_of(tmp_path, spec, records))["image"].shape[0] == 4


def test_slices_that_overlap_are_counted_and_unions_refused(monkeypatch):
    def shared(train, other):
        dataset = {"train_split": train, "eval_split": other}
        return arrays_of(monkeypatch, {"x": X, "label": CLASSES}, dataset=dataset).num_shared

    assert shared("train[:12]", "train[8:]") == 4
    assert shared("train[:8]", "train[8:]") == shared("train", "test") == 0
    with pytest.raises(RunError, match="joins splits"):
        shared("train[:20%]+train[40%:]", "test")


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
