import re

import pytest
import tensorflow as tf

from common.exit_codes import ExitCode, RunError
from tests.data.damages import (
    DAMAGES,
    cut_at_boundary,
    cut_checksum,
    cut_header,
    cut_record,
    empty,
    flip_checksum_of,
    flip_data,
    flip_length,
    flip_length_of,
)
from tests.data.shards import FEATURES, example, png, record_offset, write_file, write_shards
from tests.data.test_serve import config_of, pipeline_of, served
from trainer import storage
from trainer.config import DatasetConfig
from trainer.data import sources
from trainer.data.records.files import Stage
from trainer.data.serving import reading

MODES = ("resident", "stream")
SIZES = [4, 6, 5]


@pytest.fixture
def folder(tmp_path):
    write_shards(tmp_path / "data", SIZES)
    return tmp_path / "data"


@pytest.fixture
def middle(folder):
    return folder / "train-1.tfrecord"


def tfds_config(folder, **fields):
    """The same files with metadata that count their records."""
    lengths = ", ".join(f'"{n}"' for n in SIZES)
    (folder / "dataset_info.json").write_text(
        '{"name": "x", "splits": [{"name": "train", "shardLengths": ['
        + lengths
        + '], "filepathTemplate": "{SPLIT}-{SHARD_X_OF_Y}"}]}'
    )
    (folder / "features.json").write_text(
        '{"featuresDict": {"features": {"image": {"pythonClassName": "Image", "image": '
        '{"dtype": "uint8", "shape": {"dimensions": ["4", "4", "1"]}}}, "label": '
        '{"pythonClassName": "ClassLabel", "classLabel": {"numClasses": "5"}}}}}'
    )
    for number in range(3):
        source, target = (
            folder / f"train-{number}.tfrecord",
            folder / f"train-0000{number}-of-00003",
        )
        if source.exists():
            source.replace(target)
    return DatasetConfig(f"tfds:{folder}", eval_split="", **fields)


def serve(config):
    """Serve an epoch, and fail as the inner loop does."""
    pipeline = pipeline_of(config, num_steps=5)
    try:
        served(pipeline, [(0, 3)])
    except tf.errors.OpError as error:
        raise pipeline.cause(error, 0, 3) from None


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("mode", MODES)
def test_damage_ends_with_file_and_byte(folder, damage, mode):
    config = tfds_config(folder, serve=mode)
    path = folder / "train-00001-of-00003"
    offset = damage(path)
    with pytest.raises(RunError, match=f"{re.escape(str(path))}.* byte {offset}\\b") as caught:
        serve(config)
    assert caught.value.code is ExitCode.BAD_DATA


@pytest.mark.parametrize(
    ("damage", "lost"),
    [
        (flip_data, {6}),
        (flip_length, {6}),
        (flip_length_of(0), {4}),
        (flip_length_of(2, 3), {6, 7}),
        (flip_length_of(1, 4), {5, 8}),
        (flip_length_of(4), {8}),  # the search for the next one ends at the last
        (flip_length_of(5), {9}),
        (flip_checksum_of(0), {4}),
        (flip_checksum_of(4), {8}),
        (flip_checksum_of(5), {9}),
        (cut_record, {9}),
        (cut_checksum, {9}),
        (cut_header, {9}),
        (cut_at_boundary, {9}),
        (empty, {4, 5, 6, 7, 8, 9}),
    ],
)
@pytest.mark.parametrize("mode", MODES)
def test_skipping_loses_exactly_the_bad_records(folder, damage, lost, mode):
    config = tfds_config(folder, serve=mode, skip_bad_records=True)
    path = folder / "train-00001-of-00003"
    damage(path)
    info = sources.describe(config)
    assert info.train.num_examples == 15 - len(lost)
    report = "\n".join(info.skipped)
    assert f"{path}: {6 - len(lost)} of 6 records are left" in report
    pipeline = pipeline_of(config, seed=None, num_steps=3)
    assert served(pipeline, [(0, 3)]).tolist() == [i for i in range(15) if i not in lost]


@pytest.mark.parametrize("mode", MODES)
def test_skipping_leaves_out_no_sound_record_with_a_wrong_feature(folder, middle, mode):
    """A spec that does not fit is a mistake of the config: skipping would hide it."""
    good = [example(image=png(i), label=i % 5) for i in range(3)]
    write_file(middle, [*good, example(image=png(9), label=7), *good])
    config = config_of(str(folder / "{split}-*"), serve=mode, skip_bad_records=True)
    with pytest.raises(RunError, match=r"train-1.tfrecord: record 3 .*key 'label'") as caught:
        serve(config)
    assert caught.value.code is ExitCode.BAD_DATA


def test_a_missing_file_is_named(folder):
    config = tfds_config(folder)
    (folder / "train-00001-of-00003").unlink()
    for skip in (False, True):
        with pytest.raises(RunError, match="train-00001-of-00003: No such file") as caught:
            pipeline_of(DatasetConfig(config.name, eval_split="", skip_bad_records=skip))
        assert caught.value.code is ExitCode.BAD_DATA


@pytest.mark.parametrize("skip", [False, True])
def test_a_file_that_is_missing_in_a_bucket_is_named(folder, skip):
    tfds_config(folder)
    (folder / "train-00001-of-00003").unlink()
    url = f"memory://{folder.parent.name}"
    for path in folder.iterdir():
        storage.upload(path, f"{url}/{path.name}")
    with pytest.raises(RunError, match="train-00001-of-00003: there is no such file") as caught:
        sources.describe(DatasetConfig(f"tfds:{url}", eval_split="", skip_bad_records=skip))
    assert caught.value.code is ExitCode.BAD_DATA


@pytest.mark.parametrize("damage", [flip_length, cut_record])
def test_a_pattern_is_checked_before_training(folder, middle, damage):
    offset = damage(middle)
    with pytest.raises(RunError, match=f"{re.escape(str(middle))}.* byte {offset}\\b") as caught:
        sources.describe(config_of(str(folder / "{split}-*")))
    assert caught.value.code is ExitCode.BAD_DATA


WRONG = {
    "missing key": (example(label=1), "image"),
    "wrong kind": (example(image=7, label=1), "image"),
    "wrong length": (example(image=b"", label=[1, 2]), "label"),
    "label too large": (example(image=b"", label=5), "label"),
    "negative label": (example(image=b"", label=-1), "label"),
    "no image": (example(image=b"not an image", label=1), "image"),
    "other size": (example(image=b"large", label=1), "image"),
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("mode", MODES)
def test_a_wrong_feature_names_file_record_and_key(folder, middle, wrong, mode):
    bad, key = WRONG[wrong]
    fill = {b"image": png(1)}
    image = tf.train.Example.FromString(bad)
    if wrong in ("wrong length", "label too large", "negative label"):
        image.features.feature["image"].bytes_list.value[:] = [fill[b"image"]]
    if wrong == "other size":
        image.features.feature["image"].bytes_list.value[:] = [
            tf.io.encode_png(tf.zeros([5, 4, 1], tf.uint8)).numpy()
        ]
    good = [example(image=png(i), label=i % 5) for i in range(3)]
    write_file(middle, [*good, image.SerializeToString(), *good])
    config = config_of(str(folder / "{split}-*"), serve=mode)
    where = f"{re.escape(str(middle))}: record 3 at byte {record_offset(middle, 3)}: key '{key}'"
    with pytest.raises(RunError, match=where) as caught:
        serve(config)
    assert caught.value.code is ExitCode.BAD_DATA
    for machinery in ("in user code", "{{", "[Op:"):
        assert machinery not in caught.value.reason


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"name": "/nowhere/{split}-*"}, "matches no file"),
        ({"args": {}}, "args.features is missing"),
        ({"args": {"features": {"label": {"shpae": [1]}}}}, "features.label.*allowed: the fields"),
        ({"args": {"features": {"label": {"dtype": "int65"}}}}, "label.dtype.*int65"),
        ({"args": {"features": {"label": {"shape": [0]}}}}, "label.shape"),
        *(
            ({"args": {"features": {"label": fields}}}, rf"features\.label.*{reason}")
            for fields, reason in [
                ({"num_classes": "10"}, 'num_classes="10"; allowed: a whole number above 0'),
                ({"num_classes": 0}, "num_classes=0"),
                ({"num_classes": 3, "dtype": "float32"}, "int64, int32 or uint8"),
                ({"num_classes": 3, "dtype": "uint8", "encoding": "raw"}, "int64, int32 or uint8"),
                ({"dtype": "string", "encoding": "raw"}, "numbers of a fixed size"),
            ]
        ),
        ({"train_split": "trian"}, "trian.*matches no file"),
        ({"train_split": "train[5:5]"}, "is empty"),
        ({"holdout": 15}, "leaves nothing"),
        ({"name": "digit"}, "'digit' is not known; allowed: digits"),
        ({"name": "tfds:nothing"}, "prepare it once: .* --name=nothing"),
        ({"name": "tfds:memory://none/x"}, "nothing prepared at memory://none/x; copy the whole"),
        ({"name": "os:getcwd"}, "no mapping of split to arrays"),
        ({"name": "os:getcwd", "args": {"x": 1}}, "args.*x"),
    ],
)
def test_a_wrong_config_is_refused_in_one_line(folder, fields, reason):
    given = {"name": str(folder / "{split}-*"), "args": {"features": FEATURES}, "eval_split": ""}
    if fields.get("name") == "os:getcwd":
        given["args"] = {}
    with pytest.raises(RunError, match=reason) as caught:
        sources.describe(DatasetConfig(**{**given, **fields}))
    assert caught.value.code is ExitCode.BAD_CONFIG
    assert "\n" not in caught.value.reason


def test_a_negative_label_in_arrays_is_named(tmp_path, monkeypatch):
    (tmp_path / "custom_bad.py").write_text(
        "import numpy as np\n"
        "def build():\n"
        "    return {'train': {'image': np.zeros([3, 2]), 'label': np.array([0, -1, 1])}}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(RunError, match="'label': example 1 is -1") as caught:
        sources.describe(DatasetConfig("custom_bad:build", eval_split=""))
    assert caught.value.code is ExitCode.BAD_DATA


def test_a_record_that_changes_under_the_run_is_found(folder, middle):
    config = config_of(str(folder / "{split}-*"), serve="stream")
    info = sources.describe(config)
    flip_data(middle)
    with pytest.raises(RunError, match="does not match its checksum"):
        reading.load(info, info.train, Stage())
