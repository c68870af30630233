import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from trainer.config import DatasetConfig
from trainer.data import __main__ as command
from trainer.data import sources
from trainer.exit_codes import ExitCode


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
    from trainer.data import examples
    from trainer.data.files import Stage

    arrays = examples.load(info.train, info.features, stage=Stage(), skip_bad=False)
    assert arrays["image"].shape == (12, 8, 8, 3)
    assert [set(image.ravel().tolist()) for image in arrays["image"]].count({5}) == 1
    assert sorted(arrays["label"].tolist()) == sorted(i % 3 for i in range(12))
