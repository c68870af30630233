"""From a placement to a tf.distribute strategy; the only place that sets up the runtime."""

import os
import socket

import tensorflow as tf
from tensorflow.python.framework import config as framework_config

from common.exit_codes import ExitCode, RunError
from trainer.cluster.placement import Placement
from trainer.config import TrainConfig
from trainer.runtime import portable, quiet

_REACH_SECS = 10.0
_KEYS_OF_A_STRATEGY = 1000


def configure_runtime(config: TrainConfig) -> None:
    """Set what decides the bits of a kernel's result; call it before any TensorFlow device is used.

    Kernels split sums by the number of threads they may use, and two graph rewrites reassociate
    floating point, so that a graph with one replica would differ from a graph with two. XLA on the
    CPU is deterministic as it is and refuses some gradients under TensorFlow's switch for it; on a
    GPU it has a switch of its own, `runtime.xla`.

    On a GPU, TensorFlow's switch also takes the first deterministic cuDNN kernel that works where
    the fastest of the day would be taken: TF_CUDNN_USE_AUTOTUNE=0 adds nothing to that, and takes
    the first even where it does not work. TensorFloat-32 would round the operands of float32
    products to 10 bits, on newer cards only and in XLA's programs as well: float32 is float32.
    """
    quiet.several_runs()
    portable.choose(config.kernels)
    tf.config.threading.set_intra_op_parallelism_threads(config.intra_op_threads)
    tf.config.optimizer.set_experimental_options(
        {"arithmetic_optimization": False, "remapping": False}
    )
    tf.config.experimental.enable_tensor_float_32_execution(False)
    if config.execution != "graph":
        framework_config.disable_op_determinism()  # a run before in this process has turned it on
    else:
        tf.config.experimental.enable_op_determinism()
    let_memory_grow()


def let_memory_grow() -> None:
    """Take a card's memory as it is needed, not all at once: other processes may need some."""
    for gpu in _visible_gpus():
        # A card that was cut into logical devices has its memory dealt out, and may not grow.
        if tf.config.get_logical_device_configuration(gpu) is None:
            tf.config.experimental.set_memory_growth(gpu, True)


def create(placement: Placement) -> tf.distribute.Strategy:
    """Return the strategy; an accelerator that was asked for and is not there is an error.

    Raises:
        RunError: BAD_CONFIG, never a silent run on the CPU.
    """
    name = _resolve(placement)
    if name == "tpu":
        return _tpu(placement.tpu)
    if placement.cpu_replicas > 1 and not split_cpu(placement.cpu_replicas):
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"cpu_replicas={placement.cpu_replicas}: TensorFlow was used in this process before, "
            "and splits the CPU once; make the run with the most replicas first, or restart the "
            "process (in a notebook: the kernel)",
        )
    if name == "multi_worker":
        options = tf.distribute.experimental.CommunicationOptions()
        try:
            return tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
        except RuntimeError as error:
            if "program startup" not in str(error):
                raise
            raise RunError(
                ExitCode.BAD_CONFIG,
                "the experiment or its data function runs a TensorFlow operation, and workers can "
                "only be connected before the first one; compute it with NumPy, or in the model",
            ) from error
    if placement.cpu_replicas > 1:
        return _mirrored([f"CPU:{index}" for index in range(placement.cpu_replicas)])
    gpus = tf.config.list_logical_devices("GPU") if name == "mirrored" else []
    if len(gpus) > 1:
        return _mirrored([gpu.name for gpu in gpus])
    return tf.distribute.OneDeviceStrategy("GPU:0") if gpus else tf.distribute.get_strategy()


def count_replicas(placement: Placement) -> int:
    """Return how many replicas `create` would make of what is here, and use none of it.

    Raises:
        RunError: as `create`.
    """
    name = _resolve(placement)
    if name == "tpu" or placement.cpu_replicas:
        return max(1, placement.cpu_replicas) * placement.cluster.num_workers
    split = [tf.config.get_logical_device_configuration(gpu) or [gpu] for gpu in _visible_gpus()]
    return max(1, sum(map(len, split))) * placement.cluster.num_workers


def is_cpu(placement: Placement) -> bool:
    """Whether `create` would compute on this CPU alone."""
    return _chosen(placement) == "cpu"


def uses_gpu() -> bool:
    """Whether the strategy that was created computes on a GPU: for the others they are hidden."""
    return bool(tf.config.list_logical_devices("GPU"))


def uses_accelerator() -> bool:
    """Whether the strategy that was created computes on anything but processors."""
    return uses_gpu() or bool(tf.config.list_logical_devices("TPU"))


def _resolve(placement: Placement) -> str:
    """Return the strategy's name once it is known to be possible; hide the GPUs from the CPU's."""
    name = _chosen(placement)
    if name == "cpu" or placement.cpu_replicas:
        _hide_gpus()
    if name == "mirrored" and not _visible_gpus():
        raise RunError(
            ExitCode.BAD_CONFIG,
            "--strategy=mirrored: TensorFlow sees no GPU here; use --strategy=cpu, or "
            "--cpu_replicas=R for replicas on the CPU",
        )
    return name


def _chosen(placement: Placement) -> str:
    if placement.strategy != "auto":
        return placement.strategy
    if placement.tpu:
        return "tpu"
    if placement.cluster.num_workers > 1:
        return "multi_worker"
    if placement.cpu_replicas == 0 and _visible_gpus():
        return "mirrored"
    return "cpu"


def _visible_gpus() -> list[tf.config.PhysicalDevice]:
    with quiet.loading():
        gpus: list[tf.config.PhysicalDevice] = tf.config.get_visible_devices("GPU")
    return gpus


def _hide_gpus() -> None:
    """Keep TensorFlow off the GPUs: whatever has no device of its own goes to the first GPU.

    Raises:
        RunError: BAD_CONFIG where this process has used one, as a notebook may.
    """
    if not _visible_gpus():
        return
    try:
        tf.config.set_visible_devices([], "GPU")
    except RuntimeError as error:
        raise RunError(
            ExitCode.BAD_CONFIG,
            "--strategy=cpu: this process has used a GPU already; restart it (in a notebook: the "
            "kernel), or use --strategy=mirrored",
        ) from error


def _mirrored(devices: list[str]) -> tf.distribute.MirroredStrategy:
    # TensorFlow remembers the shape of every collective by a key that each strategy counts from
    # the same start: a second run in one process would meet the shapes of the first.
    tf.distribute.MirroredStrategy._collective_key_base += _KEYS_OF_A_STRATEGY
    # The devices are all known. In a notebook this may be of another program, and no JSON.
    told = os.environ.pop("TF_CONFIG", None)
    try:
        return tf.distribute.MirroredStrategy(devices)
    finally:
        if told is not None:
            os.environ["TF_CONFIG"] = told


def split_cpu(count: int) -> bool:
    """Make at least so many devices of the CPU, for replicas to come; whether there are so many.

    TensorFlow does it once in a process, before its first use.
    """
    cpu = tf.config.list_physical_devices("CPU")[0]
    if len(tf.config.get_logical_device_configuration(cpu) or ()) >= count:
        return True
    try:
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * count
        )
    except RuntimeError:
        return False
    return True


def _tpu(address: str) -> tf.distribute.Strategy:
    for host in address.removeprefix("grpc://").split(",") if "://" in address else []:
        _reach(host, address)
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=address or "local")
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except Exception as error:
        raise _no_tpu(address, str(error).splitlines()[0]) from error
    return tf.distribute.TPUStrategy(resolver)


def _reach(host: str, address: str) -> None:
    """Refuse a TPU worker that does not listen: TensorFlow would wait for it without a word."""
    name, _, port = host.removeprefix("grpc://").rpartition(":")
    try:
        socket.create_connection((name, int(port)), timeout=_REACH_SECS).close()
    except (OSError, ValueError) as error:
        raise _no_tpu(address, f"{host}: {error}") from error


def _no_tpu(address: str, reason: str) -> RunError:
    return RunError(
        ExitCode.BAD_CONFIG,
        f"--strategy=tpu --tpu={address or 'local'}: no TPU answers: {reason}",
    )
