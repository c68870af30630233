"""A dataset that a stranger's TFDS builder wrote: the chosen features arrive, and it trains."""

import json

import numpy as np
import pytest
import tensorflow_datasets as tfds

from common.exit_codes import ExitCode
from tests.data.foreign import load
from tests.processes import summary, trainer
from trainer.config import DatasetConfig

NUM_EXAMPLES, MOST_BOXES = 22, 3
features = tfds.features


class Sightings(tfds.core.GeneratorBasedBuilder):
    """Pictures with boxes, places and words, and a film that no run here reads."""

    VERSION = tfds.core.Version("2.1.0")

    def _info(self):
        tree = {
            "picture": features.Image(shape=(6, 6, 3)),
            "animal": features.ClassLabel(names=["fox", "owl", "hare"]),
            "caption": features.Text(),
            "place": {"name": features.Text(), "at": {"north": np.float32, "east": np.float32}},
            "boxes": features.Sequence(
                {"where": features.BBoxFeature(), "what": features.ClassLabel(num_classes=4)}
            ),
            "weights": features.Sequence(np.float64, length=2),
            "film": features.Video(shape=(None, 6, 6, 3)),
            "words": features.Translation(("de", "en")),
        }
        return self.dataset_info_from_configs(features=features.FeaturesDict(tree))

    def _split_generators(self, dl_manager):
        del dl_manager  # nothing is downloaded
        return {"train": self._generate_examples(), "test": self._generate_examples()}

    def _generate_examples(self):
        draws = np.random.default_rng(3)
        for i in range(NUM_EXAMPLES):
            picture = draws.integers(0, 256, (6, 6, 3), dtype=np.uint8)
            corner = draws.uniform(0, 0.5, 2)
            box = features.BBox(corner[0], corner[1], corner[0] + 0.25, corner[1] + 0.5)
            yield (
                i,
                {
                    "picture": picture,
                    "animal": i % 3,
                    "caption": f"größe {i}",
                    "place": {"name": f"p{i}", "at": {"north": i / 7, "east": -i / 3}},
                    "boxes": [{"where": box, "what": k} for k in range(i % (MOST_BOXES + 1))],
                    "weights": draws.normal(size=2),
                    "film": [picture] * 2,
                    "words": {"de": "ja", "en": "yes"},
                },
            )


CHOSEN = {
    "picture": {},
    "animal": {},
    "caption": {},
    "place/at/north": {},
    "weights": {},
    "boxes/where": {"shape": [MOST_BOXES, 4], "padded": True},
    "boxes/what": {"shape": [MOST_BOXES], "padded": True, "pad_value": 3},
}


FORMATS = ("tfrecord", "array_record")


@pytest.fixture(scope="module")
def builders(tmp_path_factory):
    """The builder of each file format, prepared."""
    made = {
        kind: Sightings(data_dir=str(tmp_path_factory.mktemp(kind)), file_format=kind)
        for kind in FORMATS
    }
    for builder in made.values():
        builder.download_and_prepare()
    return made


def expected(builder):
    """What TFDS itself reads, each list filled up to the most boxes; in the order of the files."""
    columns = {name: [] for name in CHOSEN}
    for example in tfds.as_numpy(builder.as_dataset(split="train", shuffle_files=False)):
        boxes = example["boxes"]
        room = MOST_BOXES - len(boxes["what"])
        values = {
            "boxes/where": np.pad(boxes["where"], [(0, room), (0, 0)]),
            "boxes/what": np.pad(boxes["what"], (0, room), constant_values=3),
            "place/at/north": example["place"]["at"]["north"],
        }
        for name in CHOSEN:
            columns[name].append(values.get(name, example.get(name)))
    return {name: np.stack(column) for name, column in columns.items()}


@pytest.mark.parametrize("kind", FORMATS)
def test_the_chosen_features_are_those_that_tfds_reads(builders, kind):
    folder = builders[kind].data_dir.partition("/sightings/")[0]
    config = DatasetConfig("tfds:sightings:2.*.*", data_dir=folder, args={"features": CHOSEN})
    read, right = load(config), expected(builders["tfrecord"])
    assert set(read) == set(CHOSEN)
    for name, values in right.items():
        assert np.array_equal(read[name], values), name


def arguments(builder, chosen):
    args = json.dumps({"features": chosen})
    return (
        "--config.dataset.name=tfds:sightings",
        f"--config.dataset.data_dir={builder.data_dir.partition('/sightings/')[0]}",
        f"--config.dataset.args={args}",
        "--config.train_steps=3",
        "--config.global_batch_size=8",
        "--config.virtual_replicas=2",
        "--config.model.name=mlp",
        '--config.model.args={"hidden": [8]}',
        '--config.task.args={"input": "picture", "label": "animal"}',
    )


def test_it_trains_with_one_digest_whatever_the_file_format(builders, tmp_path):
    served = {"tfrecord": ("--config.dataset.serve=stream", "--cpu_replicas=2"), "array_record": ()}
    chosen = ["picture", "animal", "place/at/north"]
    digests = {
        summary(tmp_path / kind, *arguments(builders[kind], chosen), *args)["state_digest"]
        for kind, args in served.items()
    }
    assert len(digests) == 1


def test_what_cannot_be_read_is_refused_by_name_once_it_is_chosen(builders, tmp_path):
    chosen = arguments(builders["tfrecord"], ["picture", "animal", "film"])
    ended = trainer(f"--workdir={tmp_path}", *chosen)
    assert ended.code == ExitCode.BAD_CONFIG
    assert "'film' is a Video" in ended.last_line
