import dataclasses
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image
from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError

from common.exit_codes import ExitCode, RunError
from tests.data.shards import example, write_file
from trainer.config import DatasetConfig
from trainer.data import __main__ as command
from trainer.data import sources


def test_show_prints_the_data_and_draws_them(tmp_path, capsys):
    picture = tmp_path / "grid.png"
    assert command.main(["show", "--config=digits", f"--picture={picture}"]) == ExitCode.DONE
    shown = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert "digits/1.0.0" in shown["source"]
    assert shown["fingerprint"].strip() == sources.describe(DatasetConfig()).fingerprint()[:16]
    with Image.open(picture) as image:
        assert image.size == (8 * 72, 4 * 86)
        assert len(np.unique(np.asarray(image))) > 10


def test_show_counts_every_class(capsys):
    arguments = ["show", "--picture=", "--config.dataset.train_split=train[:100]"]
    assert command.main(arguments) == ExitCode.DONE
    lines = capsys.readouterr().out.splitlines()
    counts = [int(line.split()[3]) for line in lines if line.startswith("label =")]
    assert len(counts) == 10
    assert sum(counts) == 100


def test_a_picture_is_a_png_of_any_name_in_a_folder_that_is_made(tmp_path):
    picture = tmp_path / "new" / "examples"
    assert command.main(["show", f"--picture={picture}"]) == ExitCode.DONE
    with Image.open(picture) as image:
        assert image.format == "PNG"


def test_a_picture_that_cannot_be_written_is_one_line(tmp_path, capsys):
    assert command.main(["show", f"--picture={tmp_path}"]) == ExitCode.BAD_CONFIG
    (line,) = capsys.readouterr().err.splitlines()
    assert "--picture" in line


def show_custom(folder, monkeypatch, **features):
    """Run `data show` on 8 examples of custom arrays, each a NumPy expression."""
    arrays = ", ".join(f"{name!r}: {value}" for name, value in features.items())
    code = f"import numpy as np\ndef build():\n    return {{'train': {{{arrays}}}}}\n"
    (folder / "custom_shown.py").write_text(code)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "custom_shown", raising=False)
    monkeypatch.chdir(folder)
    settings = ["--config.dataset.name=custom_shown:build", "--config.dataset.eval_split="]
    return command.main(["show", "--picture=seen.png", *settings])


@pytest.mark.parametrize("channels", [2, 4])
def test_images_that_are_neither_grey_nor_coloured_are_not_drawn(tmp_path, monkeypatch, channels):
    image = f"np.zeros((8, 4, 4, {channels}), 'uint8')"
    assert show_custom(tmp_path, monkeypatch, image=image) == ExitCode.DONE
    assert not (tmp_path / "seen.png").exists()


def test_a_mask_is_no_caption(tmp_path, monkeypatch):
    image, mask = "np.zeros((8, 4, 4, 3), 'uint8')", "np.zeros((8, 4, 4, 1), 'uint8')"
    assert show_custom(tmp_path, monkeypatch, image=image, label=mask) == ExitCode.DONE
    assert (tmp_path / "seen.png").exists()


def test_show_counts_the_classes_of_tokens(tmp_path, capsys):
    spec = {"tokens": {"shape": [3], "num_classes": 5}}
    write_file(tmp_path / "train-0.tfrecord", [example(tokens=[0, 4, 4])] * 2)
    experiment = tmp_path / "own.py"
    experiment.write_text(
        "from trainer.config import DatasetConfig, TrainConfig\n"
        "def get_config():\n"
        f"    dataset = DatasetConfig({str(tmp_path / '{split}-*')!r}, eval_split='',\n"
        f"                            args={{'features': {spec}}})\n"
        "    return TrainConfig(epochs=1, dataset=dataset)\n"
    )
    assert command.main(["show", f"--config={experiment}"]) == ExitCode.DONE
    shown = [line.split()[:4] for line in capsys.readouterr().out.splitlines()]
    assert ["tokens", "=", "0", "2"] in shown
    assert ["tokens", "=", "4", "4"] in shown


def test_a_mistake_in_custom_code_is_one_line_with_its_place(tmp_path, monkeypatch, capsys):
    assert show_custom(tmp_path, monkeypatch, image="np.zeros(8) / {}") == ExitCode.BAD_CONFIG
    (told,) = capsys.readouterr().err.splitlines()
    assert told.startswith("bad_config (78): ")
    assert "custom_shown.py:3: TypeError" in told


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (tfds.download.DownloadError("503 of the mirror"), ExitCode.TRANSIENT),
        (NonMatchingChecksumError("of the archive"), ExitCode.BAD_DATA),
        (AssertionError("Manual directory is empty"), ExitCode.BAD_CONFIG),
    ],
)
def test_a_failed_preparation_is_one_line(tmp_path, monkeypatch, capsys, failure, code):
    def fail(_):
        raise failure

    monkeypatch.setattr(TinyPrepared, "download_and_prepare", fail)
    arguments = ["prepare", "--name=tiny_prepared", f"--data_dir={tmp_path}"]
    assert command.main(arguments) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert "--name=tiny_prepared" in line
    assert str(failure) in line


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([], ExitCode.BAD_FLAG),
        (["shwo"], ExitCode.BAD_FLAG),
        (["show", "--config=nothing"], ExitCode.BAD_CONFIG),
        (["show", "--config.dataset.data_dir"], ExitCode.BAD_FLAG),
        (["prepare"], ExitCode.BAD_FLAG),
        (["prepare", "--name=no_such_dataset"], ExitCode.BAD_CONFIG),
        (["prepare", "--name=mnist", "--data_dir=gs://bucket/tfds"], ExitCode.BAD_FLAG),
    ],
)
def test_a_wrong_command_ends_in_one_line(arguments, code, capsys):
    assert command.main(arguments) == code
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


class TinyPrepared(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version("1.2.0")

    def _info(self):
        features = tfds.features.FeaturesDict(
            {
                "image": tfds.features.Image(shape=(None, None, 3)),
                "label": tfds.features.ClassLabel(num_classes=3),
            }
        )
        return tfds.core.DatasetInfo(builder=self, features=features)

    def _split_generators(self, dl_manager):  # noqa: ARG002 - the name is TFDS's
        return {"train": self._generate_examples(12)}

    def _generate_examples(self, count):
        for i in range(count):
            yield i, {"image": np.full([4 + i, 6, 3], i, np.uint8), "label": i % 3}


def test_a_prepared_dataset_is_found_and_read(tmp_path, capsys):
    arguments = ["prepare", "--name=tiny_prepared", f"--data_dir={tmp_path}"]
    assert command.main(arguments) == ExitCode.DONE
    name = f"tfds:{tmp_path / 'tiny_prepared' / '1.2.0'}"
    assert f"--config.dataset.name={name}" in capsys.readouterr().out
    config = DatasetConfig(
        "tfds:tiny_prepared", str(tmp_path), eval_split="", args={"image_size": [8, 8]}
    )
    info = sources.describe(config)
    for size, reason in ((None, "has images of any size"), ([8, 8.0], "in pixels")):
        other = dataclasses.replace(config, args={"image_size": size})
        with pytest.raises(RunError, match=reason):
            sources.describe(other)
    from trainer.data.records.files import Stage
    from trainer.data.serving import reading

    arrays = reading.load(info, info.train, Stage())
    assert arrays["image"].shape == (12, 8, 8, 3)
    assert [set(image.ravel().tolist()) for image in arrays["image"]].count({5}) == 1
    assert sorted(arrays["label"].tolist()) == sorted(i % 3 for i in range(12))
