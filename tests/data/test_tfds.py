"""Folders of prepared TFDS datasets: which one is found, and what their metadata may say."""

import json
import pathlib

import pytest

from common.exit_codes import ExitCode, RunError
from trainer import storage
from trainer.config import DatasetConfig
from trainer.data import sources
from trainer.data.sources import tfds, tfds_features

INFO = {"name": "x", "splits": []}


def feature(kind, **spec):
    return {"pythonClassName": f"tensorflow_datasets.core.features.{kind}", **spec}


def image(dtype):
    return feature("Image", image={"dtype": dtype, "shape": {"dimensions": ["4", "4", "1"]}})


def write(folder, features, info=INFO):
    """Write the two files of a prepared dataset; returns its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset_info.json").write_text(json.dumps(info))
    (folder / "features.json").write_text(json.dumps(features))
    return str(folder)


def features_dict(**features):
    return {"featuresDict": {"features": features}}


def read(folder, features=None):
    """Return the features that the config chooses of a prepared dataset."""
    args = {} if features is None else {"features": features}
    tree = json.loads((pathlib.Path(folder) / "features.json").read_text())
    return tfds_features.read(tree, folder, args)


def test_images_of_numbers_that_are_no_pixels_are_refused(tmp_path):
    """They would decode to bytes, and train on other numbers than were stored."""
    folder = write(tmp_path, features_dict(depth=image("float32")))
    with pytest.raises(RunError, match="'depth' is an Image of float32; allowed: uint8") as caught:
        read(folder)
    assert caught.value.code is ExitCode.BAD_CONFIG
    for dtype in ("uint8", "uint16"):
        folder = write(tmp_path, features_dict(depth=image(dtype)))
        assert read(folder)["depth"].dtype == dtype


@pytest.mark.parametrize(
    ("features", "info", "code", "reason"),
    [
        ({"pythonClassName": "a.b.Translation"}, INFO, ExitCode.BAD_CONFIG, "a Translation"),
        (features_dict(x=feature("Image")), INFO, ExitCode.BAD_DATA, "features.json: .*'image'"),
        (features_dict(x="text"), INFO, ExitCode.BAD_DATA, "features.json"),
        (features_dict(), {"splits": [{}]}, ExitCode.BAD_DATA, "dataset_info.json: .*'name'"),
        (features_dict(), {"name": "x", "splits": 7}, ExitCode.BAD_DATA, "dataset_info.json"),
    ],
)
def test_metadata_of_another_form_are_named(tmp_path, features, info, code, reason):
    folder = write(tmp_path, features, info)
    with pytest.raises(RunError, match=reason) as caught:
        sources.describe(DatasetConfig(f"tfds:{folder}"))
    assert caught.value.code is code


def test_a_dataset_of_another_name_below_a_bucket_is_not_taken():
    """A folder of several datasets is none, there as on the disk."""
    for version in ("mnist/3.0.1", "cifar10/9.0.0"):
        storage.write_bytes(f"memory://many/tfds/{version}/dataset_info.json", b"{}")
    with pytest.raises(RunError, match="nothing prepared"):
        tfds.find_directory("memory://many/tfds", "")
    for folder in ("tfds/mnist", "tfds/mnist/3.0.1"):
        found = tfds.find_directory(f"memory://many/{folder}", "")
        assert found == "memory://many/tfds/mnist/3.0.1"


@pytest.mark.parametrize("remote", [False, True])
def test_the_newest_version_is_the_highest_number(tmp_path, remote):
    """As text 1.9.0 would come last, and a folder that is no version after all of them."""
    base = f"memory://versions/{tmp_path.name}" if remote else str(tmp_path)
    for version in ("1.9.0", "1.10.0", "1.2.11", "downloads"):
        storage.write_bytes(f"{base}/mnist/{version}/dataset_info.json", b"{}")
    assert tfds.find_directory("mnist", base) == f"{base}/mnist/1.10.0"


def test_a_folder_may_begin_with_the_home(tmp_path, monkeypatch):
    """The shell leaves the ~ in `--config.dataset.data_dir=~/tfds` as it is."""
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = write(tmp_path / "tfds" / "mnist" / "3.0.1", features_dict())
    assert tfds.find_directory("mnist", "~/tfds") == folder
    assert tfds.find_directory("~/tfds/mnist", "") == folder


def test_the_advice_for_a_bucket_is_not_to_prepare_into_it():
    with pytest.raises(RunError, match=r"at memory://none/tfds/mnist; copy the whole folder"):
        tfds.find_directory("mnist", "memory://none/tfds")


def test_features_that_are_not_chosen_are_not_looked_at(tmp_path):
    tree = features_dict(image=image("uint8"), sound=feature("Audio"), depth=image("float32"))
    folder = write(tmp_path, tree)
    with pytest.raises(RunError, match=r"'sound' is a Audio.*config.dataset.args.features="):
        read(folder)
    assert list(read(folder, ["image"])) == ["image"]
    with pytest.raises(RunError, match=r"'imag' does not exist; did you mean 'image'\?") as caught:
        read(folder, ["imag"])
    assert caught.value.code is ExitCode.BAD_CONFIG


def prepared(folder, *names):
    for name in names:
        write(folder / name, features_dict())
    return str(folder)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("mnist", "mnist/10.0.0"),
        ("mnist:3.0.1", "mnist/3.0.1"),
        ("mnist:3.*.*", "mnist/3.1.0"),
        ("glue/cola:1.0.0", "glue/cola/1.0.0"),
        ("mnist:4.0.0", "its versions there are 10.0.0, 3.0.1, 3.1.0"),
        ("glue", "it has configs; write one of tfds:glue/cola, tfds:glue/sst2"),
        ("glue:1.0.0", "it has configs; write one of tfds:glue/cola, tfds:glue/sst2"),
        ("none", "prepare it once: python -m trainer.data prepare --name=none"),
    ],
)
@pytest.mark.parametrize("remote", [False, True])
def test_versions_and_configs_go_by_the_names_of_tfds(tmp_path, name, found, remote):
    versions = ("mnist/3.0.1", "mnist/3.1.0", "mnist/10.0.0", "glue/cola/1.0.0", "glue/sst2/1.0.0")
    base = prepared(tmp_path, *versions)
    if remote:
        base = f"memory://pins/{tmp_path.name}"
        for version in versions:
            storage.write_bytes(f"{base}/{version}/dataset_info.json", b"{}")
    if found in versions:
        assert tfds.find_directory(name, base) == f"{base}/{found}"
        return
    found = "copy the whole folder" if remote and name == "none" else found
    with pytest.raises(RunError) as caught:
        tfds.find_directory(name, base)
    assert found in caught.value.reason
    assert caught.value.code is ExitCode.BAD_CONFIG
