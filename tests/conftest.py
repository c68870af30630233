"""What every test leaves as it found it."""

import signal
import sys
from collections.abc import Iterator

import pytest

from trainer.runtime.early import EarlySetUp

# Files of tests share a process: whichever uses TensorFlow first, runs of the others find the
# number of threads of a config by default.
EarlySetUp(intra_op_threads=1, kernels="native", cpu_replicas=0)


@pytest.fixture(autouse=True)
def no_signal_stays_blocked() -> Iterator[None]:
    """Give back the signals that a run in this process has blocked: children inherit them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    yield
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


@pytest.fixture(autouse=True)
def no_import_hook_stays() -> Iterator[None]:
    """Take away the hook by which a parsed command line waits for TensorFlow (`runtime.early`)."""
    before = list(sys.meta_path)
    yield
    sys.meta_path[:] = before
