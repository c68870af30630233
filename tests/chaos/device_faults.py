"""What broken devices and their compiler do to a trainer without a bug."""

import json
import os
from collections.abc import Callable


def has_a_broken_card(index: str = "all") -> None:
    """Raise what a device with an uncorrectable memory error raises."""

    def raised() -> Exception:
        import tensorflow as tf

        text = "CUDA error: CUDA_ERROR_ECC_UNCORRECTABLE: uncorrectable ECC error encountered"
        return tf.errors.InternalError(None, None, text)

    _fails_on_worker(raised, index)


def has_a_broken_card_on_worker_1() -> None:
    has_a_broken_card("1")


def flips_a_bit() -> None:
    """Do what bad memory does, once, to a weight of the last replica after step 20."""
    from trainer.run import steps

    real, to_flip = steps.advance, [0] if _worker(1) else []

    def advance(session, state, *others):
        if state.step >= 20 and to_flip:
            to_flip.clear()
            first = next(iter(session.task.state().values()))
            copy = session.strategy.experimental_local_results(first._value)[-1]
            bits = copy.numpy()
            bits.view("uint32").flat[7] ^= 1 << 21
            copy.assign(bits)
        return real(session, state, *others)

    steps.advance = advance


def does_not_compile() -> None:
    """Raise what XLA raises for a program that it cannot compile, on every worker."""

    def raised() -> Exception:
        import tensorflow as tf

        text = "during context [pre-optimization]: RET_CHECK failure (hlo_verifier.cc:1) shape"
        return tf.errors.InternalError(None, None, text)

    _fails_on_worker(raised, "all")


def _fails_on_worker(raised: Callable[[], Exception], index: str) -> None:
    """Raise in the call of the inner loop, from step 8 on, on one worker or on all."""
    from trainer.engine.inner_loop import InnerLoop

    if index not in ("all", str(_worker(0))):
        return
    real = InnerLoop.__call__

    def call(self, first_step, num_steps):
        if first_step >= 8:
            raise raised()
        return real(self, first_step, num_steps)

    InnerLoop.__call__ = call


def _worker(of_one: int) -> int:
    """Return the index of this worker; `of_one` where the run has no other."""
    index: int = json.loads(os.environ.get("TF_CONFIG", "{}")).get("task", {}).get("index", of_one)
    return index
