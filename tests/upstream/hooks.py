"""Names of other libraries that the project uses though no page of theirs promises them.

`TABLE` is all of them; `missing` asks the installed versions for each.
"""

import dataclasses
import pkgutil
import types
from collections.abc import Callable

import keras
import tensorflow as tf

from trainer.engine import rematerialization


@dataclasses.dataclass(frozen=True)
class Hooks:
    """Private names of one owner.

    Attributes:
        purpose: what the project does with them.
        owner: dotted path of a module or class; with `make`, what the object is called.
        names: of its attributes.
        make: returns an object that has them.
    """

    purpose: str
    owner: str
    names: tuple[str, ...]
    make: Callable[[], object] | None = None

    def missing(self) -> list[str]:
        """Return what the installed versions do not have, a line each."""
        try:
            owner = self.make() if self.make else pkgutil.resolve_name(self.owner)
        except Exception as error:
            return [f"{self.owner} ({self.purpose}): {type(error).__name__}: {error}"]
        return [f"{self.owner}.{x} ({self.purpose})" for x in self.names if not _has(owner, x)]

    def spelled(self) -> set[str]:
        """Return the names as `source.private_names` spells them."""
        if self.make:
            return {name for name in self.names if name.startswith("_")}
        return {f"{self.owner}.{name}" for name in self.names}


def _has(owner: object, path: str) -> bool:
    name, _, rest = path.partition(".")
    return hasattr(owner, name) and (not rest or _has(getattr(owner, name), rest))


def _optimizer() -> keras.optimizers.Optimizer:
    optimizer = keras.optimizers.SGD()
    optimizer.build([])
    return optimizer


def _eager_context() -> object:
    return pkgutil.resolve_name("tensorflow.python.eager.context").context()


def _on_the_backend() -> object:
    classes = {each.__name__: each for each in keras.optimizers.Optimizer.__mro__}
    return types.SimpleNamespace(**vars(classes["TFOptimizer"]))


def _model() -> keras.Model:
    return keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])


def _masked() -> tf.Tensor:
    return keras.layers.Masking()(tf.zeros([1, 1, 1]))


def _workers() -> tf.distribute.StrategyExtended:
    return tf.distribute.MultiWorkerMirroredStrategy().extended


def _cloud_storage() -> object:
    from gcsfs.core import GCSFileSystem

    return GCSFileSystem(token="anon", asynchronous=True, skip_instance_cache=True)  # noqa: S106 (no password)


_TRACED = "functions of the user are traced in the step"
_RECOMPUTED = "rematerialization"
_SEGMENTS = "models cut into segments"
_OPTIMIZER = "optimizers as pure functions"
_DRAWS = "random draws of a microbatch"
_OWNED = "ownership of variables"
_MESSAGES = "messages between replicas"
_REFUSED_DATA = "pipelines that draw random numbers are refused"
_BUCKETS = "files on Cloud Storage"

TABLE = (
    Hooks("gradients added in one order", "tensorflow.python.ops.gen_math_ops", ("add_n",)),
    Hooks("inverse roots that are exact", "tensorflow.python.ops.gen_math_ops", ("rsqrt",)),
    Hooks(
        "whether it has computed", "tensorflow's context", ("_initialized",), make=_eager_context
    ),
    Hooks(
        "barriers in programs of XLA",
        "tensorflow.compiler.tf2xla.ops.gen_xla_ops",
        ("xla_optimization_barrier",),
    ),
    Hooks(
        "what XLA cannot compile is named",
        "tensorflow.python.framework.kernels",
        ("get_registered_kernels_for_op",),
    ),
    Hooks("operations of all functions of a graph", "tf.Graph", ("_get_function",), tf.Graph),
    Hooks(
        _TRACED,
        "tensorflow.python.autograph.core.ag_ctx",
        ("ControlStatusCtx", "Status.ENABLED"),
    ),
    Hooks(
        _TRACED,
        "tensorflow.python.eager.polymorphic_function.autograph_util",
        ("py_func_from_autograph",),
    ),
    Hooks(_TRACED, "tf.function", ("_autograph",), lambda: tf.function(lambda: None)),
    Hooks(
        "gradients of the user are audited",
        "tensorflow.python.ops.custom_gradient",
        ("_graph_mode_decorator",),
    ),
    Hooks(_RECOMPUTED, "tensorflow.python.eager.record", ("stop_recording",)),
    Hooks(_RECOMPUTED, "what keras.remat asks", ("remat",), lambda: rematerialization._backend),
    Hooks(_SEGMENTS, "keras.src.models.functional", ("Functional",)),
    Hooks(_SEGMENTS, "keras.src.backend.common.masking", ("get_keras_mask", "set_keras_mask")),
    Hooks(_SEGMENTS, "keras.Sequential", ("_functional",), _model),
    Hooks(
        _SEGMENTS,
        "keras.Model",
        ("_nodes_by_depth", "_outputs_struct", "_run_through_graph"),
        lambda: _model()._functional,
    ),
    Hooks("masks of a loss", "masked tensor of Keras", ("_keras_mask",), _masked),
    Hooks(
        "the open scope",
        "keras.src.backend.common.stateless_scope",
        ("get_stateless_scope",),
    ),
    Hooks(
        _OPTIMIZER,
        "keras.optimizers.Optimizer",
        (
            "_apply_weight_decay",
            "_get_variable_index",
            "_learning_rate",
            "_track_variable",
            "_trainable_variables",
            "_use_weight_decay",
        ),
        _optimizer,
    ),
    Hooks(
        _OPTIMIZER,
        "Keras' TFOptimizer",
        ("_apply_weight_decay", "_backend_update_step", "_var_key"),
        _on_the_backend,
    ),
    Hooks(
        "shares of a variable",
        "keras.Variable",
        ("_ndim", "_shape", "_value"),
        lambda: keras.Variable(0.0),
    ),
    Hooks(
        _OWNED,
        "keras.Layer",
        ("_flatten_layers", "_non_trainable_variables", "_trainable_variables"),
        lambda: keras.layers.Dense(1),
    ),
    Hooks(_DRAWS, "keras.src.backend.random", ("dropout",)),
    Hooks(_DRAWS, "keras.src.random.seed_generator", ("GLOBAL_SEED_GENERATOR", "draw_seed")),
    Hooks(
        _DRAWS,
        "keras.src.backend.common.global_state",
        ("get_global_attribute", "set_global_attribute"),
    ),
    Hooks(
        _MESSAGES,
        "tf.distribute.ReplicaContext",
        ("_replica_id_in_sync_group",),
        lambda: tf.distribute.ReplicaContext(tf.distribute.get_strategy(), 0),
    ),
    Hooks(
        _MESSAGES,
        "strategy.extended",
        ("_cross_device_ops", "_get_local_replica_id", "_get_replica_id_in_sync_group"),
        _workers,
    ),
    Hooks(
        _MESSAGES,
        "cross-device operations",
        ("_launchers",),
        lambda: _workers()._cross_device_ops,
    ),
    Hooks(
        _MESSAGES,
        "launcher of collectives",
        (
            "_all_gather",
            "_device",
            "_get_ordering_token",
            "_group_key",
            "_group_size",
            "_next_instance_key",
            "_options",
        ),
        lambda: _workers()._cross_device_ops._launchers[0],
    ),
    Hooks(
        _MESSAGES,
        "tf.distribute.MirroredStrategy",
        ("_collective_key_base",),
        lambda: tf.distribute.MirroredStrategy,
    ),
    Hooks(
        "determinism can be put back",
        "tensorflow.python.framework.config",
        ("disable_op_determinism",),
    ),
    Hooks(
        "kernels are part of a certificate",
        "tensorflow.python.util._pywrap_util_port",
        ("IsMklEnabled",),
    ),
    Hooks("hosts of a TPU slice", "tensorflow.core.protobuf.tensorflow_server_pb2", ("ServerDef",)),
    Hooks("hosts of a TPU slice", "tensorflow.python.training.server_lib", ("Server",)),
    Hooks(_REFUSED_DATA, "tensorflow.python.framework.op_def_registry", ("get",)),
    Hooks(
        _REFUSED_DATA,
        "tf.data.Dataset",
        ("_functions", "_inputs"),
        lambda: tf.data.Dataset.range(1),
    ),
    Hooks(
        "refused downloads",
        "tensorflow_datasets.core.download.download_manager",
        ("NonMatchingChecksumError",),
    ),
    Hooks(
        _BUCKETS,
        "gcsfs.GCSFileSystem",
        ("_get_file_request", "_request", "_session", "_set_session", "_strip_protocol"),
        _cloud_storage,
    ),
)


def missing() -> list[str]:
    """Return what the installed versions do not have of the table, a line each."""
    return [line for hooks in TABLE for line in hooks.missing()]
