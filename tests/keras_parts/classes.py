"""Every public class of Keras, found in its namespaces: one that a later Keras adds, too."""

import inspect

import keras

KINDS = {
    "optimizers": keras.optimizers.Optimizer,
    "losses": keras.losses.Loss,
    "metrics": keras.metrics.Metric,
    "regularizers": keras.regularizers.Regularizer,
    "layers": keras.layers.Layer,
}
ABSTRACT = {
    "Optimizer": "base class",
    "Loss": "base class",
    "Metric": "base class",
    "Regularizer": "base class",
    "Layer": "base class",
    "Wrapper": "base class: it has no call",
}


def classes(kind: str) -> dict[str, type]:
    """Return name -> class of a kind in order of the names, each class once.

    The other names of a class (`Convolution2D`, `MaxPool2D`) are the same object.
    """
    found = {
        value.__name__: (name, value)
        for name, value in sorted(vars(getattr(keras, kind)).items())
        if inspect.isclass(value) and issubclass(value, KINDS[kind])
    }
    public = {name: value for name, value in found.values() if value.__name__ not in ABSTRACT}
    return {
        (cls.__name__ if hasattr(getattr(keras, kind), cls.__name__) else name): cls
        for name, cls in sorted(public.items())
    }
