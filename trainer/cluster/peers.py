"""A worker that is gone: who it was; and leaving together when all is done."""

import contextlib
import re
import socket
import time
from collections.abc import Iterator

import tensorflow as tf

from common.cluster_description import Cluster
from common.exit_codes import ExitCode, RunError

_TASK = re.compile(r"/job:worker/(?:replica:0/)?task:(\d+)")
_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
)
_PROBE_SECS = 2.0
_LEAVE_SECS = 5.0


@contextlib.contextmanager
def naming_lost(cluster: Cluster) -> Iterator[None]:
    """Turn what TensorFlow raises when a worker is gone into one line that names the worker.

    Raises:
        RunError: PEER_LOST.
    """
    try:
        yield
    except _LOST as error:
        if cluster.num_workers == 1:
            raise
        raise RunError(
            ExitCode.PEER_LOST,
            f"{_who(cluster, str(error))} is gone: {type(error).__name__} on "
            f"worker {cluster.index}; "
            "look at the log of the one that left first, and restart all workers",
        ) from error


def wait_until_gone(cluster: Cluster) -> None:
    """Let the chief leave last: it hosts the service whose end the others would complain about."""
    deadline = time.monotonic() + _LEAVE_SECS
    if not cluster.is_chief:
        return
    for address in cluster.workers[1:]:
        while _listens(address) and time.monotonic() < deadline:
            time.sleep(0.05)


def _who(cluster: Cluster, message: str) -> str:
    others = [i for i in range(cluster.num_workers) if i != cluster.index]
    silent = [i for i in others if not _listens(cluster.workers[i])]
    named = [i for i in map(int, _TASK.findall(message)) if i in others]
    lost = silent or sorted(set(named)) or others
    return ", ".join(f"worker {i} of {cluster.num_workers} ({cluster.workers[i]})" for i in lost)


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _PROBE_SECS).close()
    except OSError:
        return False
    return True
