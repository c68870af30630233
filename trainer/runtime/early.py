"""Sets TensorFlow up at the moment it is first imported, whoever imports it.

TensorFlow takes its threads and its devices with its first operation, and that may be one of the
user's: a constant beside `get_config`, a data function. Importing it ahead of the user's file would
cost every mistake in a flag the seconds that this takes, so an import hook waits for it.
"""

import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from common.exit_codes import ExitCode, RunError
from trainer.runtime import portable

_NAME = "tensorflow"


class EarlySetUp:
    """Finds TensorFlow once, as Python would, and sets it up behind its last line.

    Where it was imported before, as in a notebook, nothing is done here: `cluster.strategy` sets it
    up, or says what stands in the way.

    Args:
        intra_op_threads: of the config, as far as it is known.
        kernels: of the config, likewise.
        cpu_replicas: that the CPU is split into; below 2: it is not.
    """

    def __init__(self, intra_op_threads: int, kernels: str, cpu_replicas: int) -> None:
        portable.choose(kernels)
        self._threads, self._cpu_replicas = intra_op_threads, cpu_replicas
        self._is_ours = _NAME not in sys.modules
        if self._is_ours:
            sys.meta_path.insert(0, self)

    def settle(self, intra_op_threads: int, kernels: str) -> None:
        """Take what the whole config says, which the experiment tells.

        Raises:
            RunError: BAD_CONFIG where an operation has run with something else.
        """
        portable.choose(kernels)
        self._threads = intra_op_threads
        if not self._is_ours or _NAME not in sys.modules:
            return
        try:
            _set_up(intra_op_threads, self._cpu_replicas)
        except RuntimeError as error:
            raise RunError(
                ExitCode.BAD_CONFIG,
                f"config.intra_op_threads={intra_op_threads}: TensorFlow was used before this was "
                "known, as the experiment was imported; give the number on the command line: "
                f"--config.intra_op_threads={intra_op_threads}",
            ) from error

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """See `importlib.abc.MetaPathFinder`."""
        del path, target
        if name != _NAME:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                _set_up(self._threads, self._cpu_replicas)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _set_up(intra_op_threads: int, cpu_replicas: int) -> None:
    tf: Any = sys.modules[_NAME]  # not imported: this module is read before TensorFlow may be
    tf.config.threading.set_intra_op_parallelism_threads(intra_op_threads)
    for gpu in tf.config.get_visible_devices("GPU"):
        if tf.config.get_logical_device_configuration(gpu) is None:
            tf.config.experimental.set_memory_growth(gpu, True)
    if cpu_replicas > 1:
        cpu = tf.config.list_physical_devices("CPU")[0]
        parts = [tf.config.LogicalDeviceConfiguration()] * cpu_replicas
        tf.config.set_logical_device_configuration(cpu, parts)
