"""What is trained: the typed config. Where it is trained is said by flags, never here.

Standard library only, so that a mistake is refused before TensorFlow is imported.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from trainer import registry
from trainer.config import checks, conversion


class _Named:
    """What may be named by the function or class itself, in Python."""

    name: str

    def __post_init__(self) -> None:
        if callable(self.name):
            object.__setattr__(self, "name", registry.name_of(self.name))


@dataclasses.dataclass(frozen=True)
class PartConfig(_Named):
    """A part by name: registered in `trainer.registry`, or `"package.module:object"`.

    In Python the function or class itself will do: `PartConfig(build_model)`.
    """

    name: str
    """As registered, or of an object: `"package.module:object"`."""
    args: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Keyword arguments of the part."""


@dataclasses.dataclass(frozen=True)
class ModelConfig(PartConfig):
    """A model by name; a `PartConfig` will do where nothing else is said of it."""

    remat: bool = False
    """Compute the activations again on the way back, segment by segment: less memory, more time."""


@dataclasses.dataclass(frozen=True)
class DatasetConfig(_Named):
    """Which examples, and in which form they reach the step."""

    name: str = "digits"
    """`digits`, `tfds:NAME`, a pattern of files, `images:DIRECTORY`, `"package.module:name"`."""
    data_dir: str = ""
    """Folder that holds prepared TFDS datasets; empty: the TFDS default."""
    train_split: str = "train"
    """Split, or slices of it: `train[:42000]`, `train[:20%]+train[40%:]`."""
    eval_split: str = "test"
    """Split or slice; empty: no evaluation."""
    holdout: int = 0
    """Examples at the end of `train_split` that are evaluated on instead of `eval_split`."""
    serve: Literal["auto", "resident", "stream"] = "auto"
    """Keep the decoded examples on the device, or read them while training."""
    shuffle_window: int = 0
    """Examples that are shuffled among themselves; 0: all of them."""
    skip_bad_records: bool = False
    """Leave out damaged records and report their number, instead of exit code 65."""
    skip_list: str = ""
    """File that `trainer.data verify` wrote: records that are left out; empty: none."""
    elements: Literal["auto", "examples", "batches"] = "auto"
    """What a generator or `tf.data.Dataset` yields; auto: refused where it may be either."""
    roles: dict[str, str] = dataclasses.field(default_factory=dict)
    """What features are, where it is not known: `image`, `mask`, `label`, `target`, `input`, ..."""
    args: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Keyword arguments of a custom function, or what the source does not tell of its features."""


@dataclasses.dataclass(frozen=True)
class GroupConfig:
    """Variables that an optimizer treats otherwise than the rest."""

    include: tuple[str, ...]
    """Paths of variables, or the beginnings of them up to a `/`; `*` stands for anything."""
    learning_rate: float | None = None
    """Peak rate, per update, under the same schedule; none: that of the optimizer."""
    weight_decay: float | None = None
    """Share of the weight, times the rate, that an update takes away; none: of the optimizer."""


@dataclasses.dataclass(frozen=True)
class OptimizerConfig(_Named):
    """An optimizer and its learning rate."""

    name: str = "adam"
    """`adam`, another registered name, or `"package.module:object"`."""
    learning_rate: float = 1e-3
    """Peak rate, per update."""
    clip_norm: float = 0.0
    """Largest norm of the whole gradient, after the reduction; 0: not clipped."""
    schedule: PartConfig = PartConfig("constant")
    """Of the learning rate: `constant`, `cosine`, `exponential`, or a custom one."""
    warmup_steps: int = 0
    """Updates of linear warm-up before the schedule's rate is reached."""
    groups: tuple[GroupConfig, ...] = ()
    """Other rates by variable; the first group that a variable fits counts."""
    args: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Keyword arguments of the optimizer."""


@dataclasses.dataclass(frozen=True)
class PlateauConfig:
    """Multiply every learning rate by `factor` when a metric stops getting better."""

    metric: str = ""
    """Name of an evaluation metric; empty: off."""
    mode: Literal["min", "max"] = "min"
    """Whether less or more of the metric is better."""
    factor: float = 0.1
    """Of the learning rate, each time; in (0, 1)."""
    patience: int = 5
    """Evaluations without an improvement that are waited for."""
    min_delta: float = 0.0
    """Smallest change that counts as better."""
    min_scale: float = 1e-4
    """The product of the factors never falls below this."""


@dataclasses.dataclass(frozen=True)
class InitConfig:
    """Start from the weights of another run, the parent, and not from the seed alone."""

    from_: str = ""
    """`init.from`: workdir, export, `.keras` or `.weights.h5` file, or its URL; empty: none."""
    checkpoint: str = "newest"
    """Of a workdir: `newest`, `best` (by its `keep_best_metric`), or a step."""
    include: tuple[str, ...] = ()
    """Paths of the variables that are taken, as in `optimizer.groups`; empty: all."""
    exclude: tuple[str, ...] = ()
    """Paths of those that the seed initializes; has to list those that only one of the two has."""
    what: Literal["weights", "weights+statistics", "all"] = "weights+statistics"
    """Statistics are those of BatchNorm and the like; `all` takes slots and averages as well."""


@dataclasses.dataclass(frozen=True)
class StopConfig:
    """End a run before its last step, with exit code 0 and all that a whole run leaves."""

    metric: str = ""
    """Evaluation metric that has to get better; empty: off."""
    mode: Literal["min", "max"] = "min"
    """Whether less or more of the metric is better."""
    patience: int = 5
    """Evaluations without an improvement that end the run."""
    min_delta: float = 0.0
    """Smallest change that counts as better."""
    after: int = 0
    """Updates before the metric is looked at."""
    max_hours: float = 0.0
    """Hours that the processes of the run may live, all together; 0: no limit."""


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """One experiment. The state it ends with is a function of these fields alone."""

    seed: int = 0
    """Of weights, order and random numbers; a whole number below 2^31."""
    execution: Literal["graph", "xla_step", "xla_loop"] = "graph"
    """How a step is compiled; each has its own last bits."""
    intra_op_threads: int = 1
    """CPU threads one operation may use. Part of the config: kernels split sums by it."""
    kernels: Literal["native", "portable"] = "native"
    """The processor's own, or slower ones that every x86-64 with AVX2 has."""
    train_steps: int = 0
    """Updates; 0: counted by `epochs`."""
    epochs: float = 0.0
    """Passes over the training data; 0: counted by `train_steps`."""
    global_batch_size: int = 32
    """B, examples per update, over all replicas."""
    virtual_replicas: int = 1
    """V, microbatches a batch is cut into. Must divide B; the hardware's replicas must divide V."""
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """What layers compute in; weights and sums are float32. float16 has a dynamic loss scale."""
    reduction: Literal["exact", "fast"] = "exact"
    """Fixed order of sums over replicas, or the collective library's."""
    optimizer_state: Literal["replicated", "sharded"] = "replicated"
    """Slots and averages on every replica, or once over all of them; the bits are the same."""
    log_every_steps: int = 500
    """Updates from one line of training numbers to the next."""
    eval_every_steps: int = 0
    """0: at the end of every epoch."""
    eval_before_training: bool = False
    """Evaluate the first weights too; no plateau and no best checkpoint begins there."""
    checkpoint_every_steps: int = 1000
    """0: only at the end."""
    digest_every_steps: int = 1000
    """Hash the state, and compare it across replicas; also where a checkpoint is due. 0: never."""
    keep_checkpoints: int = 3
    """Newest checkpoints that are kept."""
    checkpoint_every_secs: float | Literal["auto"] = 0.0
    """Save also after this time, seconds; 0: by steps only; auto: Young's optimum, as measured."""
    keep_best_metric: str = ""
    """Evaluation metric whose best checkpoint is kept as well; empty: none."""
    keep_best_mode: Literal["min", "max"] = "max"
    """Whether less or more of that metric is better."""
    max_skipped_steps: int = 10
    """Updates in a row left out, for a number that is not finite or a spike, before a rollback."""
    max_rollbacks: int = 2
    """Returns to the last checkpoint of `checkpoint_every_steps`, before exit code 70."""
    loss_spike: float = 0.0
    """Leave out updates whose loss is over this many times its running mean; 0: none."""
    dataset: DatasetConfig = DatasetConfig()
    """What is trained and evaluated on."""
    augment: tuple[PartConfig, ...] = ()
    """Changes to training examples, in order."""
    task: PartConfig = PartConfig("supervised")
    """What a step does: `supervised`, another registered name, or a custom `Task`."""
    model: ModelConfig = ModelConfig("cnn")
    """The model with the role `main`."""
    models: dict[str, ModelConfig] = dataclasses.field(default_factory=dict)
    """Further models by role, for tasks with more than one."""
    loss: PartConfig = PartConfig("sparse_categorical_crossentropy")
    """One value an example; the mean over the global batch is what is minimized."""
    regularizer: PartConfig | None = None
    """Penalty on the kernels of the trained model."""
    metrics: tuple[PartConfig, ...] = (PartConfig("accuracy"),)
    """Each goes by its `args.name`, or else by the name of its part."""
    optimizer: OptimizerConfig = OptimizerConfig()
    """Of the role `main`."""
    optimizers: dict[str, OptimizerConfig] = dataclasses.field(default_factory=dict)
    """Further optimizers by role."""
    trackers: tuple[PartConfig, ...] = ()
    """`mlflow`, `wandb` or a custom class: sent the numbers of a run by the chief, each once."""
    plateau: PlateauConfig = PlateauConfig()
    """A lower learning rate where a metric gets no better."""
    init: InitConfig = InitConfig()
    """The parent whose weights a run starts from; none: from the seed."""
    stop: StopConfig = StopConfig()
    """A rule that ends a run before its last step."""
    ema_decay: float = 0.0
    """Of a running average of the weights, which is evaluated and exported; 0: the last weights."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "model", _as_model(self.model))
        object.__setattr__(self, "models", {n: _as_model(m) for n, m in self.models.items()})
        checks.check_ranges(self)


def _as_model(part: PartConfig) -> ModelConfig:
    return part if isinstance(part, ModelConfig) else ModelConfig(part.name, part.args)


# These change how a run is watched, not what it computes. How long it may last: see `run.longer`.
UNESSENTIAL_FIELDS = frozenset(
    {
        "train_steps",
        "epochs",
        "optimizer_state",
        "log_every_steps",
        "eval_every_steps",
        "eval_before_training",
        "checkpoint_every_steps",
        "checkpoint_every_secs",
        "digest_every_steps",
        "keep_checkpoints",
        "keep_best_metric",
        "keep_best_mode",
        "stop.max_hours",
        "trackers",
    }
)


def essential_difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Name what differs between two plain configs and changes what is computed."""
    # What an older version did not know was as it is by default.
    old = {**conversion.to_plain(TrainConfig(epochs=1)), **old}
    old = conversion.to_plain(conversion.from_plain(TrainConfig, old))
    unessential = set(UNESSENTIAL_FIELDS)
    if new["plateau"]["metric"] or new["stop"]["metric"]:
        unessential.discard("eval_every_steps")  # an evaluation may lower the rate, or end the run
    lines = conversion.difference(old, new)
    return [line for line in lines if line.partition(":")[0] not in unessential]
