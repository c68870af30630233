"""What a training problem is: models, optimizers, metrics, and one step over them."""

import contextlib
import contextvars
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import keras
import tensorflow as tf

from common.exit_codes import ExitCode, RunError
from trainer import ownership
from trainer.data.info import Feature
from trainer.losses.shapes import WeightedLosses
from trainer.optimizers.loss_scale import LossScale
from trainer.optimizers.loss_spike import LossSpike
from trainer.optimizers.weight_average import WeightAverage

if TYPE_CHECKING:
    from trainer.run.hook import EvaluationReport


@dataclasses.dataclass(frozen=True)
class Microbatch:
    """The part of a global batch that one virtual replica works on; b = B / V examples.

    Attributes:
        batch: feature name -> tensor [b, ...].
        weights: float32[b], what each example counts (`Task.example_weights`); 0 marks padding.
        step: int64 scalar.
        key: int64[2], unique to (seed, step, virtual replica, call).
    """

    batch: Mapping[str, tf.Tensor]
    weights: tf.Tensor
    step: tf.Tensor
    key: tf.Tensor

    def __post_init__(self) -> None:
        """Refuse other weights than those that the sum of the losses is divided by."""
        in_use = _weights_in_use.get()
        if in_use is not None and self.weights is not in_use:
            raise RunError(
                ExitCode.BAD_CONFIG,
                "config.task: the loss makes a microbatch with other weights, and the divisor "
                "would not follow; return them from a method example_weights(self, microbatch) of "
                "the task, or name a feature with task.args.weight of the supervised task",
            )

    def __getitem__(self, feature: str) -> tf.Tensor:
        return self.batch[feature]

    def seed(self, index: int = 0) -> tf.Tensor:
        """Return int64[2] for `tf.random.stateless_*`; another index, another stream."""
        return tf.random.experimental.stateless_fold_in(self.key, index)


_weights_in_use: contextvars.ContextVar[tf.Tensor | None] = contextvars.ContextVar(
    "weights_in_use", default=None
)


@contextlib.contextmanager
def weights_in_use(weights: tf.Tensor) -> Iterator[None]:
    """Let no microbatch be made with other weights meanwhile."""
    token = _weights_in_use.set(weights)
    try:
        yield
    finally:
        _weights_in_use.reset(token)


LossFn = Callable[[Microbatch], tf.Tensor | WeightedLosses]
"""Returns the loss of each example, float[b]."""
PerExampleFn = Callable[[Microbatch], Any]
"""Returns something for each example: a tensor [b, ...], or a list or dictionary of them."""
BatchLossFn = Callable[[Any], tf.Tensor]
"""Returns the losses of the global batch, float[B], or their mean, float[]."""
Gradients = Sequence[tf.Tensor | None]
Variables = Sequence[keras.Variable]


class Replica(Protocol):
    """What a step may ask of the replica it runs on."""

    def gradient(self, loss_fn: LossFn, variables: Variables) -> list[tf.Tensor | None]:
        """Return d(mean loss over the global batch) / d(variables), the same on every replica.

        As `tf.GradientTape` does, it returns None for a variable that the loss does not depend on.
        """

    def gradient_of_batch(
        self, embed_fn: PerExampleFn, batch_loss_fn: BatchLossFn, variables: Variables
    ) -> list[tf.Tensor | None]:
        """Return d(loss of the global batch) / d(variables), the same on every replica.

        For a loss that compares the examples of a batch with each other: each microbatch is
        embedded, the loss and its gradient by the embeddings are computed on the whole batch, and
        each microbatch runs again, with the same random numbers and its rows of that gradient.

        Args:
            embed_fn: the losses may depend on each number that it returns; whole numbers, such as
                labels, come along.
            batch_loss_fn: is given what `embed_fn` returns with B in place of b examples, in the
                order of the batch, and floats as float32. It may use models, variables and metrics
                as any loss does.
            variables: that are trained; both functions may depend on them.

        Source: Gao et al., Scaling Deep Contrastive Learning Batch Size under Memory Limited
        Setup, 2021, section 3 (GradCache).
        """

    def gather(self, fn: PerExampleFn) -> Any:
        """Return what `fn` makes of every example of the global batch: [B, ...], in order.

        It is the same on every replica, floats as float32. What `train_step` makes of it may go
        into a metric, a variable, or the loss of a later `gradient`.
        """

    def apply(self, optimizer: keras.optimizers.Optimizer, grads: Gradients, to: Variables) -> None:
        """Clip `grads` by the optimizer's `clip_norm` and let it update the variables `to`."""


@dataclasses.dataclass(frozen=True)
class Parts:
    """What a config names, built; a task picks from it what it needs.

    Attributes:
        models: role -> built model; the config's `model` has the role "main".
        optimizers: role -> optimizer, built on the model of that role.
        metrics: name -> metric.
        loss: (labels, predictions) -> float[b], or a Keras loss.
        regularizer: weights -> scalar, or None.
        average: of the models' weights, or None.
        loss_spike: which updates are left out for their loss, or None.
        loss_scale: of a run in float16, or None.
    """

    models: Mapping[str, keras.Model]
    optimizers: Mapping[str, keras.optimizers.Optimizer]
    metrics: Mapping[str, keras.metrics.Metric]
    loss: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
    regularizer: Callable[[tf.Tensor], tf.Tensor] | None
    average: WeightAverage | None = None
    loss_spike: LossSpike | None = None
    loss_scale: LossScale | None = None


class Task:
    """A training problem; subclass it and write `model_shapes`, `train_step` and `eval_step`.

    As in a Keras layer, what is assigned to an attribute is tracked: models, layers, optimizers,
    metrics, seed generators and `keras.Variable`, also in lists and dictionaries. It is state:
    checkpointed, digested, and may be read and assigned inside `train_step` as in any Keras loop.
    What a step uses besides is refused before the first one (`ownership`).

    Attributes:
        models: role -> built model.
        optimizers: role -> optimizer, built on its variables.
        metrics: name -> metric with additive state (a sum, count or histogram over examples).
        average: of the models' weights, for evaluation and export; None: the weights themselves.
        loss_spike: says which updates are left out for their loss; None: none.
        loss_scale: by which `Replica.gradient` scales the loss of a run in float16; None: not.
    """

    def __init__(self, parts: Parts) -> None:
        self.models = dict(parts.models)
        self.optimizers = dict(parts.optimizers)
        self.metrics = dict(parts.metrics)
        self.loss = parts.loss
        self.regularizer = parts.regularizer
        self.average = parts.average
        self.loss_spike = parts.loss_spike
        self.loss_scale = parts.loss_scale
        # Draws of `keras.random` without a seed; set anew in every step, so it is no state.
        self.unseeded = keras.random.SeedGenerator(0, name="unseeded")

    @classmethod
    def model_shapes(cls, features: Mapping[str, Feature]) -> dict[str, tuple[Any, Any]]:
        """Return role -> (input, number of outputs) of every model.

        The input is a feature, or a shape without the batch; of a model with several inputs a list
        or dictionary of these. The model function is given the shapes, and the second as it is.
        """
        del features
        raise _unwritten(
            cls,
            "model_shapes(cls, features) as a classmethod, which returns role -> (input, number of "
            "outputs): {'main': (features['image'], 10)}",
        )

    def train_step(self, replica: Replica) -> None:
        """Do one update: `replica.gradient` of a per-microbatch loss, then `replica.apply`."""
        del replica
        raise _unwritten(
            type(self),
            "train_step(self, replica): grads = replica.gradient(loss, variables), then "
            "replica.apply(optimizer, grads, variables)",
        )

    def eval_step(self, microbatch: Microbatch) -> tf.Tensor | WeightedLosses:
        """Return the loss of each example, float[b], and update the metrics."""
        del microbatch
        raise _unwritten(
            type(self),
            "eval_step(self, microbatch), which returns the loss of each example; or set "
            "config.dataset.eval_split='' for no evaluation",
        )

    def predict_step(self, microbatch: Microbatch) -> Any:
        """Return what the command `predict` writes: a tensor [b, ...], or a list or dictionary.

        Written anew where the model "main" reads something else than the feature "image", or those
        that `self.input` names. The examples may hold no more than what is read here: no labels.
        """
        inputs = tf.nest.map_structure(microbatch.__getitem__, getattr(self, "input", "image"))
        return self.models["main"](inputs, training=False)

    def example_weights(self, microbatch: Microbatch) -> tf.Tensor:
        """Return what each example counts, float[b]: in the loss, its divisor and the metrics.

        Multiply `microbatch.weights`, which is 0 for padding. The mean loss is the sum of
        weight times loss over the global batch, divided by the sum of the weights.
        """
        return microbatch.weights

    def images(self) -> Mapping[str, tf.Tensor]:
        """Return what there is to look at after an evaluation: name -> float[N, H, W, 1 or 3].

        Values are in [0, 1]; nothing by default. It must be a function of the state alone.
        """
        return {}

    def on_evaluation(self, report: "EvaluationReport") -> None:
        """Look at the run after an evaluation: plain Python, on the chief alone.

        Long loops belong here: samples of text, custom pictures, files. It is called once for each
        evaluation; after a restart again where the evaluation was due again. The models hold what
        was evaluated. What it assigns is taken back: a hook cannot change the run.
        """

    def penalty(self, variables: Variables) -> tf.Tensor:
        """Return what regularizers add to the mean loss when `variables` are trained; a scalar.

        The config's regularizer sees the kernels (rank 2 and more); those of layers see what
        their layer gives them.
        """
        kernels = [v for v in variables if len(v.shape) > 1] if self.regularizer else []
        # Cast before the sum: one in bfloat16 stops growing at 256.
        terms = [self.regularizer(tf.cast(v.value, tf.float32)) for v in kernels]  # type: ignore[misc]
        layers = [part for _, part in self.owned() if isinstance(part, keras.Layer)]
        terms += [loss for layer in layers for loss in layer.losses]
        return tf.add_n([tf.cast(t, tf.float32) for t in terms]) if terms else tf.constant(0.0)

    def __setattr__(self, name: str, value: Any) -> None:
        """Take a metric that is assigned to an attribute for one of `metrics`, as Keras does."""
        super().__setattr__(name, value)
        if isinstance(value, keras.metrics.Metric):
            self.metrics.setdefault(value.name, value)

    def state(self) -> dict[str, keras.Variable]:
        """Name every variable that a checkpoint holds, in the order of the digest."""
        return dict(self._named_state())

    def readable(self) -> Iterator[keras.Variable]:
        """Yield all variables that a step may read: the state, and what begins anew in each."""
        yield from self.state().values()
        yield self.unseeded.state
        for metric in self.metrics.values():
            yield from metric.variables

    def owned(self) -> Iterator[tuple[str, Any]]:
        """Name the models, and the layers, variables and seed generators that the task holds."""
        yield from self.models.items()
        known = {id(v) for model in self.models.values() for v in model.variables}
        named = {*(field.name for field in dataclasses.fields(Parts)), "unseeded"}
        others = {n: value for n, value in vars(self).items() if n not in named}
        for name, thing in ownership.held(others, "task"):
            # An alias such as `self.model = self.models["main"]` holds nothing new.
            if not known.issuperset(id(v) for _, v in ownership.named_variables(name, thing)):
                yield name, thing

    def _named_state(self) -> Iterator[tuple[str, keras.Variable]]:
        optimizers = {f"optimizer/{role}": o for role, o in self.optimizers.items()}
        for name, part in {**self.models, **optimizers, **dict(self.owned())}.items():
            yield from ownership.named_variables(name, part)
        for name, variable in self.average.state() if self.average else ():
            yield f"average/{name}", variable
        for name, variable in self.loss_spike.state() if self.loss_spike else ():
            yield f"loss_spike/{name}", variable
        for name, variable in self.loss_scale.state() if self.loss_scale else ():
            yield f"loss_scale/{name}", variable


def _unwritten(kind: type[Task], what: str) -> RunError:
    return RunError(
        ExitCode.BAD_CONFIG, f"config.task: {kind.__name__} lacks a method: write {what}"
    )
