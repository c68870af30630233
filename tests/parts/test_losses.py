"""Every registered loss against float64 NumPy: one value per example, stable, maskable."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer import registry
from trainer.losses.from_keras import adapted

RNG = np.random.default_rng(3)
LOGITS = RNG.normal(size=(5, 4)) * 3
PROBS = RNG.dirichlet(np.ones(4), size=5)
CLASSES = np.array([0, 3, 1, 1, 2])
BITS = RNG.integers(0, 2, size=(5, 4))


def log_softmax(z):
    shifted = z - z.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def true_log_prob(z):
    return np.take_along_axis(log_softmax(z), CLASSES[:, None], -1)[:, 0]


def focal(z, gamma):
    log_p = true_log_prob(z)
    return -((1 - np.exp(log_p)) ** gamma) * log_p


def sigmoid_crossentropy(y, z):
    return np.maximum(z, 0) - z * y + np.log1p(np.exp(-np.abs(z)))


def huber(e, delta):
    return np.where(e <= delta, e**2 / 2, delta * (e - delta / 2))


# name -> (targets, expected float64[5]); predictions are LOGITS, arguments the defaults.
CASES = {
    "sparse_categorical_crossentropy": (CLASSES, -true_log_prob(LOGITS)),
    "categorical_crossentropy": (PROBS, -(PROBS * log_softmax(LOGITS)).sum(-1)),
    "binary_crossentropy": (BITS, sigmoid_crossentropy(BITS, LOGITS).mean(-1)),
    "focal": (CLASSES, focal(LOGITS, 2.0)),
    "mse": (PROBS, ((PROBS - LOGITS) ** 2).mean(-1)),
    "mae": (PROBS, np.abs(PROBS - LOGITS).mean(-1)),
    "huber": (PROBS, huber(np.abs(PROBS - LOGITS), 1.0).mean(-1)),
    "kl_divergence": (PROBS, (PROBS * (np.log(PROBS) - log_softmax(LOGITS))).sum(-1)),
}


def make(name, **args):
    part = adapted(registry.resolve(registry.LOSSES, name, "loss.name"))
    if isinstance(part, type):
        return part(**args).call
    return lambda y_true, y_pred: part(y_true, y_pred, **args)


def test_every_loss_has_a_case():
    assert set(CASES) == set(registry.LOSSES)


@pytest.mark.parametrize("name", CASES)
def test_loss_matches_float64_reference(name):
    targets, expected = CASES[name]
    loss = make(name)(targets, LOGITS.astype("float32"))
    assert loss.dtype == tf.float32
    assert loss.shape == (5,)
    np.testing.assert_allclose(loss, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_loss_of_an_example_does_not_depend_on_the_others(name):
    targets, _ = CASES[name]
    logits = LOGITS.astype("float32")
    masked = np.where(np.arange(5)[:, None] < 3, logits, 1e4).astype("float32")
    np.testing.assert_array_equal(make(name)(targets, logits)[:3], make(name)(targets, masked)[:3])


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
def test_huge_bfloat16_predictions_give_finite_losses_and_gradients(name, jit_compile):
    targets, _ = CASES[name]

    @tf.function(jit_compile=jit_compile)
    def loss_and_gradient(predictions):
        with tf.GradientTape() as tape:
            tape.watch(predictions)
            loss = make(name)(targets, predictions)
        return loss, tape.gradient(loss, predictions)

    extreme = tf.constant(np.sign(LOGITS) * 1e4, tf.bfloat16)
    loss, gradient = loss_and_gradient(extreme)
    assert loss.dtype == tf.float32
    assert np.isfinite(loss).all()
    assert np.isfinite(tf.cast(gradient, tf.float32)).all()


@pytest.mark.parametrize("name", CASES)
def test_examples_with_inner_axes_still_give_one_value_each(name):
    targets, expected = CASES[name]
    inner = make(name)(targets[np.newaxis], LOGITS[np.newaxis].astype("float32"))
    np.testing.assert_allclose(inner, [expected.mean()], rtol=1e-5)


@pytest.mark.parametrize("name", ["sparse_categorical_crossentropy", "focal"])
def test_class_numbers_may_have_a_second_axis(name):
    logits = LOGITS.astype("float32")
    column = make(name)(CLASSES[:, None], logits)
    np.testing.assert_array_equal(column, make(name)(CLASSES, logits))


@pytest.mark.parametrize("name", ["binary_crossentropy", "mse", "mae", "huber"])
def test_targets_without_the_second_axis_do_not_broadcast(name):
    bits, logits = BITS[:, 0], LOGITS[:, :1].astype("float32")
    loss = make(name)(bits, logits)
    assert loss.shape == (5,)
    np.testing.assert_array_equal(loss, make(name)(bits[:, None], logits))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 5.0])
def test_focal_follows_its_focus_down_to_plain_crossentropy(gamma):
    loss = make("focal", gamma=gamma)(CLASSES, LOGITS.astype("float32"))
    np.testing.assert_allclose(loss, focal(LOGITS, gamma), rtol=1e-4, atol=1e-6)


def test_focal_gradient_is_finite_for_a_certain_example_and_a_small_focus():
    logits = tf.constant([[200.0, 0.0]])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = make("focal", gamma=0.5)(tf.constant([0]), logits)
    assert np.isfinite(tape.gradient(loss, logits)).all()


def test_huber_turns_linear_at_delta():
    loss = make("huber", delta=3.0)(np.zeros(2), np.array([2.0, 5.0], "float32"))
    np.testing.assert_allclose(loss, [2.0, 10.5])


def test_kl_divergence_of_equal_distributions_is_zero_even_with_impossible_classes():
    loss = make("kl_divergence")(np.array([[1.0, 0.0]]), np.array([[100.0, -100.0]], "float32"))
    np.testing.assert_allclose(loss, [0.0], atol=1e-6)


def test_class_numbers_that_float32_merges_stay_apart():
    # A Keras loss of a class turns labels into float32, where 2^24 + 1 is 2^24.
    loss = make("sparse_categorical_crossentropy")
    logits = tf.one_hot([2**24 + 1], 2**24 + 2, on_value=50.0, off_value=0.0)
    np.testing.assert_allclose(loss(tf.constant([2**24 + 1], tf.int64), logits), [0.0], atol=1e-6)


def test_smoothed_labels_are_an_argument_of_keras():
    loss = make("categorical_crossentropy", label_smoothing=0.1)
    smooth = 0.9 * np.eye(4)[CLASSES] + 0.1 / 4
    expected = -(smooth * log_softmax(LOGITS)).sum(-1)
    np.testing.assert_allclose(
        loss(np.eye(4)[CLASSES], LOGITS.astype("float32")), expected, rtol=1e-5
    )


@pytest.mark.parametrize("loss", [huber, keras.losses.Huber])
def test_custom_losses_and_classes_are_left_as_they_are(loss):
    assert adapted(loss) is loss
