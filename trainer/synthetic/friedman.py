"""Tabular regression with a known answer: Friedman's first function."""

import numpy as np

Splits = dict[str, dict[str, np.ndarray]]


def friedman(train: int = 4096, test: int = 1024, noise: float = 1.0, seed: int = 0) -> Splits:
    """Return rows of ten uniform numbers, of which five matter, and a noisy value of each row.

    Formula: y = 10 sin(pi x_0 x_1) + 20 (x_2 - 1/2)^2 + 10 x_3 + 5 x_4 + noise * N(0, 1).

    No model can have a mean squared error below noise^2.

    Args:
        train: rows to train on.
        test: rows held out.
        noise: standard deviation, in the unit of y; y itself has one near 5.
        seed: of rows and noise.

    Returns:
        split -> {"x": float32[N, 10], "y": float32[N, 1]}.

    Source: Friedman, Multivariate Adaptive Regression Splines, Annals of Statistics 1991, 4.3.
    """
    random = np.random.default_rng(seed)
    x = random.uniform(size=(train + test, 10))
    curved = 10 * np.sin(np.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2
    y = curved + 10 * x[:, 3] + 5 * x[:, 4] + noise * random.normal(size=train + test)
    rows = {"x": x.astype(np.float32), "y": y.astype(np.float32)[:, np.newaxis]}
    return {
        "train": {name: values[:train] for name, values in rows.items()},
        "test": {name: values[train:] for name, values in rows.items()},
    }
