"""The inputs of a model: what a task says of them, as shapes and as `keras.Input`."""

from collections.abc import Callable, Mapping
from typing import Any

import keras

from common.exit_codes import ExitCode, RunError
from trainer import user_code
from trainer.data.info import Feature

Leaf = Callable[[str, Any], Any]


def shapes(given: Any) -> Any:
    """Return the shapes of what `Task.model_shapes` says that a model reads, in its structure."""
    return _mapped(given, lambda _, leaf: leaf.shape if isinstance(leaf, Feature) else leaf)


def reads(model: keras.Model) -> Any:
    """Return what a built model reads, a tensor or a list or dictionary of them."""
    # A Sequential that was built and not called has no `input`.
    return model.inputs[0] if isinstance(model, keras.Sequential) else model.input


def gives(model: keras.Model) -> Any:
    """Return what a built model gives, as `reads` does."""
    return model.outputs[0] if isinstance(model, keras.Sequential) else model.output


def with_inputs(
    model: keras.Model, given: Any, features: Mapping[str, Feature], field: str
) -> keras.Model:
    """Return the model with all its variables and with known inputs and outputs.

    A subclass of `keras.Model` has neither before it is called: its `build` makes no layers.

    Args:
        model: as the user's function returned it.
        given: of `Task.model_shapes`.
        features: of the examples, for the dtype of what is given as a shape.
        field: of the config, for the message.

    Raises:
        RunError: BAD_CONFIG where the model cannot be called, or a dtype cannot be told.
    """
    is_sequential = isinstance(model, keras.Sequential)
    if (is_sequential and model.built) or (not is_sequential and hasattr(model, "inputs")):
        return model
    # Whole numbers stay whole: as float32 those above 2^24 merge, and as bfloat16 above 256.
    inputs = _mapped(given, lambda name, leaf: _input(name, leaf, features, field))
    try:
        if type(model) is keras.Sequential:
            return keras.Sequential([inputs, *model.layers], name=model.name)
        return keras.Model(inputs, model(inputs))
    except RunError:
        raise
    except Exception as error:
        line = user_code.place_of(error)
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"{line + ': ' if line else ''}{field}: the model cannot be called with "
            f"{_described(given)}: {user_code.reason_of(error)}",
        ) from error


# From here on not every whole number is a number of the type.
_EXACT = {"bfloat16": 256, "float16": 2048}


def refuse_ignored_methods(model: keras.Model, field: str) -> None:
    """Refuse a model that says itself how it is trained, where a task does that and asks it not."""
    for name in ("train_step", "test_step", "compute_loss"):
        if getattr(type(model), name) is not getattr(keras.Model, name):
            raise RunError(
                ExitCode.BAD_CONFIG,
                f"{field}: no run calls {type(model).__name__}.{name}; write it as train_step of a "
                "task of yours (config.task.name='module:class'), or take it out of the model",
            )


def refuse_rounded_ids(model: keras.Model, given: Any, precision: str, field: str) -> None:
    """Refuse an embedding that would look up whole numbers after they were rounded."""
    layers = model._flatten_layers()
    if precision == "float32" or not any(isinstance(x, keras.layers.Embedding) for x in layers):
        return
    whole = isinstance(given, Feature) and "int" in given.dtype
    if whole and len(model.inputs) == 1 and "float" in str(model.inputs[0].dtype):
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"{field}: the model reads {given.dtype} as {model.inputs[0].dtype}, which "
            f"config.precision={precision!r} rounds: numbers above {_EXACT[precision]} would "
            f"share rows of its Embedding; write keras.Input(input_shape, dtype={given.dtype!r})",
        )


def _mapped(given: Any, leaf: Leaf, name: str = "") -> Any:
    if isinstance(given, Feature) or _is_shape(given):
        return leaf(name, given)
    if isinstance(given, Mapping):
        return {key: _mapped(value, leaf, str(key)) for key, value in given.items()}
    return [_mapped(value, leaf) for value in given]


def _is_shape(given: Any) -> bool:
    if isinstance(given, Mapping):
        return False
    return all(d is None or isinstance(d, int) for d in given)


def _input(name: str, leaf: Any, features: Mapping[str, Feature], field: str) -> Any:
    shape = tuple(leaf.shape if isinstance(leaf, Feature) else leaf)
    dtype = leaf.dtype if isinstance(leaf, Feature) else _dtype(name, shape, features, field)
    return keras.Input(shape, dtype=dtype, name=name or None)


def _dtype(name: str, shape: tuple[Any, ...], features: Mapping[str, Feature], field: str) -> str:
    """Return the dtype of the feature that is meant by its name, or else by its shape."""
    alike = {n: f.dtype for n, f in features.items() if tuple(f.shape) == shape}
    if name in alike:
        return alike[name]
    if len(set(alike.values())) > 1:
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"{field}: the dtype of the input {list(shape)} is not known: {', '.join(alike)} have "
            "this shape; return the feature itself in model_shapes, features['NAME'] without "
            ".shape, or make the model with keras.Input(shape, dtype=...)",
        )
    return next(iter(alike.values()), "float32")


def _described(given: Any) -> Any:
    return _mapped(given, lambda _, x: f"{x.dtype}{list(x.shape)}" if isinstance(x, Feature) else x)
