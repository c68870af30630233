"""A worker or a device that is gone: which it was; and leaving together when all is done."""

import contextlib
import re
import socket
import time
import traceback
from collections.abc import Iterator

import tensorflow as tf

from common import redaction
from common.cluster_description import Cluster
from common.exit_codes import ExitCode, RunError
from trainer import user_code
from trainer.cluster import device_faults

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
    """Turn what TensorFlow raises when a device fails or a worker is gone into one line.

    Raises:
        RunError: TRANSIENT where a device of this worker failed: another start may get another
            card, and starts are counted, so that one that is broken for good does not go on for
            ever. BUG where the step does not compile, which every worker finds by itself.
            PEER_LOST where another worker is gone, which is named.
    """
    try:
        yield
    except tf.errors.OpError as error:
        is_alone, said = cluster.num_workers == 1, user_code.reason_of(error)
        cause = device_faults.origin(error, is_alone=is_alone)
        if cause == "device":
            raise RunError(
                ExitCode.TRANSIENT,
                f"{_me(cluster)}a device failed: {said}; the same command goes on from the newest "
                "checkpoint; have the device looked at if it fails again",
            ) from error
        # Whatever line of the user's it is made of: the line is right, and the compiler is not.
        if cause == "compiler":
            redaction.complain("".join(traceback.format_exception(error)).rstrip())
            raise RunError(ExitCode.BUG, f"{_me(cluster)}{said}; the stack is above") from error
        if is_alone or not isinstance(error, _LOST):
            raise
        # Who lost a worker finds that it does not answer, or is told so; an internal error with
        # all of them there arose here.
        arose_here = isinstance(error, tf.errors.InternalError) and cause != "peer"
        if arose_here and not _silent(cluster):
            raise RunError(ExitCode.BUG, f"{_me(cluster)}{said}") from error
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


def _me(cluster: Cluster) -> str:
    return f"{_names(cluster, [cluster.index])}: " if cluster.num_workers > 1 else ""


def _who(cluster: Cluster, message: str) -> str:
    others = _others(cluster)
    named = [i for i in map(int, _TASK.findall(message)) if i in others]
    return _names(cluster, _silent(cluster) or sorted(set(named)) or others)


def _names(cluster: Cluster, workers: list[int]) -> str:
    named = (f"worker {i} of {cluster.num_workers} ({cluster.workers[i]})" for i in workers)
    return ", ".join(named)


def _silent(cluster: Cluster) -> list[int]:
    return [i for i in _others(cluster) if not _listens(cluster.workers[i])]


def _others(cluster: Cluster) -> list[int]:
    return [i for i in range(cluster.num_workers) if i != cluster.index]


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _PROBE_SECS).close()
    except OSError:
        return False
    return True
