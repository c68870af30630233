import numpy as np
import pytest
import tensorflow as tf

from common.exit_codes import ExitCode, RunError
from tests.processes import SHORT, summary
from trainer import registry
from trainer.config import PartConfig
from trainer.data.augment.hashing import uniform
from trainer.data.augment.mixup import _beta_quantiles
from trainer.data.augment.preprocess import make_preprocess, seen_features
from trainer.data.info import Feature

FEATURES = {"image": Feature((6, 8, 3), "uint8"), "label": Feature((), "int64", 4)}
EXAMPLES = 24


def batch_of(num_microbatches):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, [EXAMPLES, 6, 8, 3], np.uint8)
    shape = [num_microbatches, EXAMPLES // num_microbatches]
    batch = {
        "image": tf.reshape(images, [*shape, 6, 8, 3]),
        "label": tf.reshape(tf.range(EXAMPLES, dtype=tf.int64) % 4, shape),
    }
    return batch, tf.reshape(tf.range(100, 100 + EXAMPLES, dtype=tf.int64), shape)


def changed(*parts, seed=7, num_microbatches=4, shift=0):
    batch, positions = batch_of(num_microbatches)
    out = make_preprocess(FEATURES, parts, seed=seed)(batch, positions + shift)
    return {n: x.numpy().reshape(EXAMPLES, *x.shape[2:]) for n, x in out.items()}


@pytest.mark.parametrize("name", [n for n in registry.AUGMENTS if n != "mixup"])
def test_an_example_is_changed_by_its_position_alone(name):
    part = PartConfig(name)
    four, one = changed(part), changed(part, num_microbatches=1)
    assert np.array_equal(four["image"], one["image"])
    assert not np.array_equal(four["image"], changed(part, seed=8)["image"])
    assert not np.array_equal(four["image"], changed(part, shift=1)["image"])
    assert not np.array_equal(four["image"], changed(part, seed=None)["image"])
    assert four["image"].min() >= 0
    assert four["image"].max() <= 1


def test_mixup_blends_neighbours_of_a_microbatch():
    mixed, plain = changed(PartConfig("mixup", {"alpha": 1.0})), changed(seed=None)
    one_hot = np.eye(4, dtype=np.float32)[np.arange(EXAMPLES) % 4]
    for i in range(EXAMPLES):
        microbatch = i // 6 * 6
        j = microbatch + (i - microbatch + 1) % 6
        share = mixed["label"][i, i % 4] if i % 4 != j % 4 else None
        if share is None:
            continue
        expected = share * plain["image"][i] + (1 - share) * plain["image"][j]
        np.testing.assert_allclose(mixed["image"][i], expected, atol=1e-5)
        np.testing.assert_allclose(
            mixed["label"][i], share * one_hot[i] + (1 - share) * one_hot[j], atol=1e-6
        )
    seen = seen_features(FEATURES, [PartConfig("mixup")])
    assert seen["label"] == Feature((4,), "float32")


@pytest.mark.parametrize(("alpha", "variance"), [(1.0, 1 / 12), (0.2, 1 / 5.6), (4.0, 1 / 36)])
def test_mixup_weights_are_beta(alpha, variance):
    drawn = np.interp(np.linspace(0, 1, 100_001), np.linspace(0, 1, 1025), _beta_quantiles(alpha))
    assert drawn.mean() == pytest.approx(0.5, abs=1e-3)
    assert drawn.var() == pytest.approx(variance, rel=0.01)


@pytest.mark.parametrize("num_flips", [1, 2])
def test_each_flip_mirrors_half_of_the_images(num_flips):
    """Flips that drew the same numbers would undo each other."""
    flips = [PartConfig("flip")] * num_flips
    flipped, plain = changed(*flips)["image"], changed(seed=None)["image"]
    kinds = [
        "same" if np.array_equal(a, b) else "mirrored" if np.array_equal(a, b[:, ::-1]) else "other"
        for a, b in zip(flipped, plain, strict=True)
    ]
    assert {k: kinds.count(k) > EXAMPLES // 5 for k in kinds} == {"same": True, "mirrored": True}


def test_pad_and_crop_shifts():
    shifted, plain = changed(PartConfig("pad_and_crop", {"pixels": 2}))["image"], changed(seed=None)
    padded = np.pad(plain["image"], [[0, 0], [2, 2], [2, 2], [0, 0]])
    found = set()
    for a, b in zip(shifted, padded, strict=True):
        found |= {
            (y, x) for y in range(5) for x in range(5) if np.array_equal(a, b[y : y + 6, x : x + 8])
        }
    assert len(found) > 10
    assert all(
        any(np.array_equal(a, b[y : y + 6, x : x + 8]) for y in range(5) for x in range(5))
        for a, b in zip(shifted, padded, strict=True)
    )


def test_a_crop_of_everything_changes_nothing():
    whole = PartConfig("random_resized_crop", {"area": [1.0, 1.0], "aspect": [8 / 6, 8 / 6]})
    np.testing.assert_allclose(changed(whole)["image"], changed(seed=None)["image"], atol=1e-5)


def test_a_crop_is_the_bilinear_resize_of_a_box():
    half = PartConfig("random_resized_crop", {"area": [0.25, 0.25], "aspect": [8 / 6, 8 / 6]})
    crop, plain = changed(half)["image"], changed(seed=None)["image"]
    _, positions = batch_of(1)
    from trainer.data.augment.hashing import fold

    keys = fold(fold(7, 0), positions)
    top, left = (uniform(keys, 2).numpy()[0] * 3, uniform(keys, 3).numpy()[0] * 4)
    rows = np.clip(top[:, None] + 3 * (np.arange(6) + 0.5) / 6 - 0.5, 0, 5)
    columns = np.clip(left[:, None] + 4 * (np.arange(8) + 0.5) / 8 - 0.5, 0, 7)
    for n in range(EXAMPLES):
        for i, j in ((0, 0), (3, 5), (5, 7)):
            y, x = rows[n, i], columns[n, j]
            y0, x0 = int(y), int(x)
            y1, x1 = min(y0 + 1, 5), min(x0 + 1, 7)
            img = plain[n]
            top_row = img[y0, x0] * (1 - (x - x0)) + img[y0, x1] * (x - x0)
            low_row = img[y1, x0] * (1 - (x - x0)) + img[y1, x1] * (x - x0)
            np.testing.assert_allclose(
                crop[n, i, j], top_row * (1 - (y - y0)) + low_row * (y - y0), atol=1e-4
            )


def test_uniform_draws_are_uniform():
    draws = uniform(tf.range(50_000, dtype=tf.int64), 0).numpy()
    other = uniform(tf.range(50_000, dtype=tf.int64), 1).numpy()
    assert draws.min() >= 0
    assert draws.max() < 1
    assert np.bincount((draws * 10).astype(int)).min() > 4700
    assert abs(np.corrcoef(draws, other)[0, 1]) < 0.02
    assert abs(np.corrcoef(draws[1:], draws[:-1])[0, 1]) < 0.02


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        (PartConfig("flop"), r"augment\[0\].name='flop'.*did you mean 'flip'"),
        (PartConfig("pad_and_crop", {"pixel": 2}), r"augment\[0\].args.*pixel.*arguments: pixels"),
        (PartConfig("flip", {"feature": "label"}), r"'label' is none"),
        (PartConfig("mixup", {"label": "image"}), r"needs a class label"),
    ],
)
def test_a_wrong_change_is_refused(part, reason):
    with pytest.raises(RunError, match=reason) as caught:
        make_preprocess(FEATURES, [part], seed=0)
    assert caught.value.code is ExitCode.BAD_CONFIG


AUGMENTED = """
import dataclasses
from trainer.config import PartConfig
from trainer.configs import digits

def get_config():
    names = ("flip", "pad_and_crop", "random_resized_crop", "color_jitter", "mixup")
    return dataclasses.replace(
        digits.get_config(), augment=tuple(PartConfig(n) for n in names),
        loss=PartConfig("categorical_crossentropy"), metrics=(PartConfig("categorical_accuracy"),),
    )
"""


def test_augmented_runs_are_the_same_on_any_topology_and_serve_mode(tmp_path):
    config = tmp_path / "augmented.py"
    config.write_text(AUGMENTED)
    args = [f"--config={config}", *SHORT]
    one = summary(tmp_path / "one", *args)
    two = summary(tmp_path / "two", *args, "--cpu_replicas=2", "--config.dataset.serve=stream")
    assert two["state_digest"] == one["state_digest"]
