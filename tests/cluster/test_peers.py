"""Who is gone, of three workers and more; and who leaves last."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import tensorflow as tf

from common.cluster_description import Cluster
from common.exit_codes import ExitCode, RunError
from tests.processes import free_ports
from trainer.cluster import peers

LOST = [
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
]


@contextlib.contextmanager
def workers(count: int, gone: set[int]) -> Iterator[tuple[str, ...]]:
    """The addresses of workers, of which all but those that are gone listen."""
    ports = free_ports(count)
    with contextlib.ExitStack() as stack:
        for index, port in enumerate(ports):
            if index not in gone:
                stack.enter_context(socket.create_server(("localhost", port)))
        yield tuple(f"localhost:{port}" for port in ports)


def said(cluster: Cluster, message: str, error: type[tf.errors.OpError] = LOST[0]) -> str:
    with pytest.raises(RunError) as caught, peers.naming_lost(cluster):
        raise error(None, None, message)
    assert caught.value.code is ExitCode.PEER_LOST
    return caught.value.reason


def named(addresses: tuple[str, ...], *indexes: int) -> str:
    count = len(addresses)
    return ", ".join(f"worker {i} of {count} ({addresses[i]})" for i in indexes) + " is gone: "


@pytest.mark.parametrize(
    ("index", "gone"), [(0, {2}), (1, {0}), (3, {1}), (0, {1, 2}), (2, {0, 3}), (1, {0, 2, 3})]
)
def test_the_workers_that_do_not_answer_are_gone(index, gone):
    with workers(4, gone) as addresses:
        # TensorFlow names whom it heard last, which need not be who is gone.
        reason = said(Cluster(addresses, index), f"/job:worker/replica:0/task:{index} and task:3")
    assert reason.startswith(named(addresses, *sorted(gone)))
    assert f"UnavailableError on worker {index};" in reason


@pytest.mark.parametrize(
    ("message", "gone"),
    [
        ("from remote /job:worker/replica:0/task:2:", (2,)),
        ("/job:worker/task:2 and /job:worker/replica:0/task:11, /job:worker/task:2", (2, 11)),
        ("/job:worker/replica:0/task:0 lost /job:worker/replica:0/task:1", (1,)),
    ],
)
def test_where_all_answer_the_message_names_who_is_gone(message, gone):
    with workers(12, set()) as addresses:
        reason = said(Cluster(addresses, 0), message)
    assert reason.startswith(named(addresses, *gone))


@pytest.mark.parametrize("message", ["Socket closed", "on /job:worker/replica:0/task:1"])
def test_where_nothing_names_anyone_it_may_be_any_other(message):
    with workers(3, set()) as addresses:
        reason = said(Cluster(addresses, 1), message)
    assert reason.startswith(named(addresses, 0, 2))


@pytest.mark.parametrize("error", LOST)
def test_every_error_by_which_tensorflow_loses_a_worker_names_it(error):
    with workers(3, {2}) as addresses:
        reason = said(Cluster(addresses, 0), "x", error)
    assert reason.startswith(named(addresses, 2) + error.__name__)


def test_other_errors_and_those_of_one_worker_stay_what_they_are():
    three = Cluster(("localhost:1", "localhost:2", "localhost:3"), 0)
    with pytest.raises(tf.errors.InvalidArgumentError), peers.naming_lost(three):
        raise tf.errors.InvalidArgumentError(None, None, "x")
    with pytest.raises(tf.errors.UnavailableError), peers.naming_lost(Cluster()):
        raise tf.errors.UnavailableError(None, None, "x")


def test_the_chief_leaves_after_every_other_worker():
    with workers(4, {0, 1, 2, 3}) as addresses:
        servers = [_listening(address) for address in addresses[1:]]
    left = []

    def leave() -> None:
        for index, server in enumerate(servers):
            time.sleep(0.1)
            left.append(index)
            server.close()

    thread = threading.Thread(target=leave)
    thread.start()
    peers.wait_until_gone(Cluster(addresses, 0))
    assert left == [0, 1, 2]
    thread.join()


def _listening(address: str) -> socket.socket:
    return socket.create_server(("localhost", int(address.rpartition(":")[2])))


def test_no_other_worker_waits_for_anyone(monkeypatch):
    monkeypatch.setattr(peers, "_listens", lambda _: pytest.fail("asked for a peer"))
    for index in (1, 2):
        peers.wait_until_gone(Cluster(("localhost:1", "localhost:2", "localhost:3"), index))


def test_the_chief_waits_no_longer_than_it_should(monkeypatch):
    monkeypatch.setattr(peers, "_LEAVE_SECS", 0.2)
    with workers(3, set()) as addresses:
        peers.wait_until_gone(Cluster(addresses, 0))


FAULTS = [
    "CUDA error: CUDA_ERROR_ECC_UNCORRECTABLE: uncorrectable ECC error encountered",
    "Failed to launch CUDA kernel: fusion_12: CUDA_ERROR_ILLEGAL_ADDRESS: an illegal access",
    "failed to synchronous memcpy; Could not synchronize CUDA stream: CUDA_ERROR_LAUNCH_FAILED",
    "Blas xGEMM launch failed : a.shape=[1,2], b.shape=[1,2], m=2, n=2, k=2",
    "CUDNN_STATUS_EXECUTION_FAILED in tensorflow/stream_executor/cuda/cuda_dnn.cc(1)",
    "NCCL: unhandled system error (run with NCCL_DEBUG=INFO for details)",
]
UNCOMPILED = [
    "during context [pre-optimization]: RET_CHECK failure (xla/service/hlo_verifier.cc:1) shape",
    "libdevice not found at ./libdevice.10.bc",
    "ptxas exited with non-zero error code 65280, CUDA error in the log of the compiler",
    "Failed to load PTX text as a module: CUDA_ERROR_NO_BINARY_FOR_GPU",
    "No PTX compilation provider is available; XLA compilation failed for CUDA",
]


def ended_by(cluster: Cluster, error: Exception) -> RunError:
    with pytest.raises(RunError) as caught, peers.naming_lost(cluster):
        raise error
    return caught.value


@pytest.mark.parametrize("message", FAULTS)
@pytest.mark.parametrize(
    "kind", [tf.errors.InternalError, tf.errors.UnknownError, tf.errors.AbortedError]
)
def test_a_device_that_fails_is_another_start_and_counted(message, kind):
    alone = ended_by(Cluster(), kind(None, None, message))
    with workers(3, set()) as addresses:
        one_of_three = ended_by(Cluster(addresses, 1), kind(None, None, message))
    assert alone.code is one_of_three.code is ExitCode.TRANSIENT
    assert message[:20] in alone.reason
    assert one_of_three.reason.startswith(f"worker 1 of 3 ({addresses[1]}): a device failed: ")


@pytest.mark.parametrize("message", UNCOMPILED)
def test_what_does_not_compile_is_no_lost_worker_and_no_fault_of_a_device(message, capsys):
    error = tf.errors.InternalError(None, None, message)
    alone = ended_by(Cluster(), error)
    assert alone.code is ExitCode.BUG
    assert alone.reason.startswith("InternalError: ")
    assert message[:20] in capsys.readouterr().err  # with its stack
    with workers(2, set()) as addresses:
        ended = ended_by(Cluster(addresses, 0), error)
    assert ended.code is ExitCode.BUG
    assert ended.reason.startswith(f"worker 0 of 2 ({addresses[0]}): InternalError: ")


def test_the_word_of_a_device_of_another_worker_names_the_other():
    with workers(2, set()) as addresses:
        reason = said(Cluster(addresses, 0), f"Collective ops is aborted by: {FAULTS[0]}", LOST[4])
    assert reason.startswith(named(addresses, 1))


def test_an_internal_error_with_all_peers_there_is_its_own():
    with workers(2, set()) as addresses:
        ended = ended_by(Cluster(addresses, 1), tf.errors.InternalError(None, None, "x"))
    assert (ended.code, ended.reason[:13]) == (ExitCode.BUG, "worker 1 of 2")


@pytest.mark.parametrize(
    "message", ["failed to allocate: CUDA_ERROR_OUT_OF_MEMORY", "CUBLAS_STATUS_ALLOC_FAILED"]
)
def test_a_full_card_is_full_again_at_the_next_start(message):
    with pytest.raises(tf.errors.InternalError), peers.naming_lost(Cluster()):
        raise tf.errors.InternalError(None, None, message)
