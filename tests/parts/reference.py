"""Update rules in float64 NumPy, written from their papers: what the optimizers must agree with.

A rule is `(w, g, state, t, lr) -> w'`; it keeps what it needs in the dict `state`; t counts from 1.
"""

import keras
import numpy as np

SHAPE = (4, 3)


def gradients(steps=100, seed=7):
    """Gradients with noise and sign changes, the same for every rule; float64[steps, 4, 3]."""
    noise = np.random.default_rng(seed).normal(size=(steps, *SHAPE))
    return np.sin(np.arange(steps) / 9.0)[:, None, None] + noise


def start(shape=SHAPE):
    return np.linspace(-1.0, 1.0, int(np.prod(shape))).reshape(shape)


def build(optimizer, shape=SHAPE):
    """Return a float32 variable at the starting point and the optimizer built on it."""
    variable = keras.Variable(start(shape).astype("float32"))
    optimizer.build([variable])
    return variable, optimizer


def run(rule, grads, learning_rate):
    w, state = start(), {}
    for t, g in enumerate(grads, start=1):
        w = rule(w, g, state, t, learning_rate)
    return w


def midpoint(w, g, state, t, lr):
    halfway = (state.get("w", w) + w) / 2
    goes_on = (g * state.get("g", g) >= 0) | (t == 1)
    state.update(w=w, g=g)
    return np.where(goes_on, w - lr * g, halfway)


def sgd(w, g, state, t, lr):
    return w - lr * g


def momentum(w, g, state, t, lr):
    state["v"] = 0.9 * state.get("v", 0.0) - lr * g
    return w + state["v"]


def nesterov(w, g, state, t, lr):
    state["v"] = 0.9 * state.get("v", 0.0) - lr * g
    return w + 0.9 * state["v"] - lr * g


def adagrad(w, g, state, t, lr):
    state["s"] = state.get("s", 0.1) + g**2
    return w - lr * g / np.sqrt(state["s"] + 1e-7)


def rmsprop(w, g, state, t, lr):
    state["s"] = 0.9 * state.get("s", 0.0) + 0.1 * g**2
    return w - lr * g / np.sqrt(state["s"] + 1e-7)


def _adam_direction(g, state, t):
    state["m"] = 0.9 * state.get("m", 0.0) + 0.1 * g
    state["v"] = 0.999 * state.get("v", 0.0) + 0.001 * g**2
    return state["m"] / (1 - 0.9**t), np.sqrt(state["v"] / (1 - 0.999**t))


def adam(w, g, state, t, lr, *, epsilon=1e-7):
    m, s = _adam_direction(g, state, t)
    # Keras adds its epsilon before the correction of the bias (Kingma and Ba, section 2).
    return w - lr * m / (s + epsilon / np.sqrt(1 - 0.999**t))


def adamw(w, g, state, t, lr, *, epsilon=1e-7, decay=0.004):
    return adam(w - lr * decay * w, g, state, t, lr, epsilon=epsilon)


def lamb(w, g, state, t, lr):
    m, s = _adam_direction(g, state, t)
    direction = m / (s + 1e-7)
    return w - lr * np.linalg.norm(w) / np.linalg.norm(direction) * direction


def lion(w, g, state, t, lr):
    m = state.get("m", 0.0)
    state["m"] = 0.99 * m + 0.01 * g
    return w - lr * np.sign(0.9 * m + 0.1 * g)
