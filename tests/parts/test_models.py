"""One battery for every registered model: builds, runs in bfloat16 and XLA, saves, learns."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from common.exit_codes import RunError
from trainer import registry

# name -> (input shape, arguments, output shape without the batch)
CASES = {
    "mlp": ((8, 8, 1), {"hidden": (16, 8), "dropout": 0.5}, (3,)),
    "cnn": ((8, 8, 1), {"batch_norm": True, "dropout": 0.5}, (3,)),
    "resnet": ((8, 8, 3), {"depth": 8}, (3,)),
    "resnet50": ((32, 32, 3), {}, (3,)),
    "generator": ((5,), {"image_shape": (8, 8, 1), "filters": 8}, (8, 8, 1)),
    "discriminator": ((8, 8, 1), {"filters": 4}, (3,)),
    "transformer": ((6,), {"width": 8, "depth": 1, "heads": 2}, (6, 3)),
}
# Compiling fifty layers takes a minute on one core; resnet is made of the same pieces.
COMPILED = [name for name in CASES if name != "resnet50"]


@pytest.fixture
def bfloat16():
    keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
    yield
    keras.mixed_precision.set_dtype_policy("float32")


def build(name):
    input_shape, args, _ = CASES[name]
    return registry.resolve(registry.MODELS, name, "model.name")(input_shape, 3, **args)


def batch(name):
    if name == "transformer":
        return tf.constant(np.arange(24).reshape(4, 6) % 3)
    return tf.constant(np.random.default_rng(1).normal(size=(4, *CASES[name][0])), tf.float32)


def losses_and_gradients(model, x, jit_compile):
    """Run one training step's forward and backward pass as the trainer does: stateless."""

    @tf.function(jit_compile=jit_compile)
    def run(trainable, other):
        with tf.GradientTape() as tape:
            tape.watch(trainable)
            y, _ = model.stateless_call(trainable, other, x, training=True)
            loss = tf.reduce_sum(tf.square(y), axis=list(range(1, y.shape.rank)))
        # The gradient of an embedding is sparse; a step makes it dense before it is added up.
        return loss, [tf.convert_to_tensor(g) for g in tape.gradient(loss, trainable)]

    return run(
        [v.value for v in model.trainable_variables],
        [v.value for v in model.non_trainable_variables],
    )


def test_every_model_has_a_case():
    assert set(CASES) == set(registry.MODELS)


@pytest.mark.parametrize("name", CASES)
def test_bfloat16_policy_gives_float32_outputs_and_weights(name, bfloat16):
    model = build(name)
    outputs = model(batch(name))
    assert outputs.dtype == tf.float32
    assert outputs.shape == (4, *CASES[name][2])
    assert np.isfinite(outputs).all()
    assert {v.dtype for v in model.trainable_variables} == {"float32"}
    assert "bfloat16" in {layer.compute_dtype for layer in model.layers}


@pytest.mark.parametrize("name", COMPILED)
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_training_pass_compiles_under_xla_and_every_weight_learns(name, policy):
    keras.utils.set_random_seed(1)
    keras.mixed_precision.set_dtype_policy(policy)
    try:
        model = build(name)
        loss, gradients = losses_and_gradients(model, batch(name), jit_compile=True)
    finally:
        keras.mixed_precision.set_dtype_policy("float32")
    assert loss.shape == (4,)
    assert np.isfinite(loss).all()
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        assert np.isfinite(gradient).all(), variable.path
        assert np.any(gradient), variable.path


# Keras 3.15 writes HDF5 through an array protocol that NumPy 2 calls old.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("name", COMPILED)
def test_saved_weights_come_back_in_another_model(name, tmp_path):
    keras.utils.set_random_seed(1)
    model = build(name)
    expected = model(batch(name))
    model.save_weights(tmp_path / "model.weights.h5")
    keras.utils.set_random_seed(2)
    other = build(name)
    assert not np.array_equal(other(batch(name)), expected)
    other.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(other(batch(name)), expected)


def test_cnn_has_the_classic_layers():
    model = registry.resolve(registry.MODELS, "cnn", "model.name")((28, 28, 1), 10, padding="valid")
    kernels = [tuple(w.shape) for w in model.trainable_variables if w.name == "kernel"]
    convolutions = [(3, 3, 1, 32), (3, 3, 32, 64), (3, 3, 64, 64)]
    assert kernels == [*convolutions, (576, 128), (128, 10)]
    assert model.count_params() == 320 + 18496 + 36928 + 73856 + 1290


def test_resnet_20_has_the_weights_of_the_paper_and_its_shortcuts():
    model = registry.resolve(registry.MODELS, "resnet", "model.name")((32, 32, 3), 10)
    stages = [3 * 16, 6 * 16 * 16, (16 + 5 * 32) * 32, (32 + 5 * 64) * 64]
    shortcuts = 16 * 32 + 32 * 64
    norms = 2 * (7 * 16 + 7 * 32 + 7 * 64)
    trained = sum(int(np.prod(w.shape)) for w in model.trainable_variables)
    assert trained == 9 * sum(stages) + shortcuts + norms + 650


@pytest.mark.parametrize(
    ("name", "sizes"), [("resnet", {32, 16, 8}), ("resnet50", {16, 8, 4, 2, 1})]
)
def test_residual_stages_halve_the_image(name, sizes):
    model = registry.resolve(registry.MODELS, name, "model.name")((32, 32, 3), 10)
    layers = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert {layer.output.shape[1] for layer in layers} == sizes


def test_resnet50_strides_in_the_3x3_convolution():
    model = registry.resolve(registry.MODELS, "resnet50", "model.name")((32, 32, 3), 10)
    layers = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    strided = [layer.kernel_size[0] for layer in layers if layer.strides == (2, 2)]
    assert sorted(strided) == [1, 1, 1, 3, 3, 3, 7]


def test_resnet50_has_the_known_number_of_weights():
    model = registry.resolve(registry.MODELS, "resnet50", "model.name")((32, 32, 3), 1000)
    assert sum(int(np.prod(w.shape)) for w in model.trainable_variables) == 25_557_032


@pytest.mark.parametrize("depth", [2, 18, 21])
def test_a_depth_that_is_not_6n_plus_2_is_refused(depth):
    build_resnet = registry.resolve(registry.MODELS, "resnet", "model.name")
    with pytest.raises(RunError, match=rf"model\.args\.depth={depth} is not 6n \+ 2"):
        build_resnet((8, 8, 1), 3, depth=depth)


def test_an_image_that_cannot_be_halved_twice_is_refused():
    generator = registry.resolve(registry.MODELS, "generator", "model.name")
    with pytest.raises(RunError, match=r"model\.args\.image_shape=\(10, 8, 1\)"):
        generator((5,), 3, image_shape=(10, 8, 1))


def test_generated_pixels_lie_between_zero_and_one():
    images = build("generator")(100 * batch("generator"))
    assert images.numpy().min() >= 0.0
    assert images.numpy().max() <= 1.0
