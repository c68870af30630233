"""Two towers that recommend items to users, with a loss over the batch, in Keras and as a task."""

from collections.abc import Mapping, Sequence

import keras
import tensorflow as tf

from benchmarks.peers import work
from trainer.data.info import Feature
from trainer.task import Microbatch, Parts, Replica, Task


def towers(input_shape: Sequence[int], num_outputs: int) -> keras.Model:
    """Return a model from pairs int[B, 2] to the embeddings of both, float[B, num_outputs] each."""
    pairs = keras.Input(tuple(input_shape), dtype="int32")
    made = []
    for side, size in enumerate((work.USERS, work.ITEMS)):
        x = keras.layers.Embedding(size, num_outputs)(pairs[:, side])
        x = keras.layers.Dense(num_outputs, activation="relu")(x)
        made.append(keras.layers.Dense(num_outputs)(x))
    return keras.Model(pairs, made)


def scores() -> keras.Model:
    """Return a model from pairs int[B, 2] to the score of each item for each user, float[B, B]."""
    made = towers((2,), work.WIDTH)
    users, items = made.outputs
    return keras.Model(made.inputs, keras.ops.matmul(users, keras.ops.transpose(items)))


class TwoTowers(Task):
    """Each user is asked for its own item among those of the microbatch: one pass."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self.model = self.models["main"]
        self.hits = keras.metrics.Mean(name="accuracy")
        self.metrics["accuracy"] = self.hits

    @classmethod
    def model_shapes(cls, features: Mapping[str, Feature]) -> dict[str, tuple[Feature, int]]:
        """From a pair to two embeddings."""
        return {"main": (features["pair"], work.WIDTH)}

    def train_step(self, replica: Replica) -> None:
        """Gradient of the mean loss, then one update."""
        weights = self.model.trainable_variables
        grads = replica.gradient(self.eval_step, weights)
        replica.apply(self.optimizers["main"], grads, weights)

    def eval_step(self, microbatch: Microbatch) -> tf.Tensor:
        """Return the loss of each pair, float[b]."""
        return self.losses(self.embed(microbatch))

    def embed(self, microbatch: Microbatch) -> list[tf.Tensor]:
        """Return what the towers make of users and items, float[b, W] each; and weights."""
        made = self.model(microbatch["pair"], training=True)
        return [*(tf.cast(x, tf.float32) for x in made), microbatch.weights]

    def losses(self, embedded: list[tf.Tensor]) -> tf.Tensor:
        """Return -log of the share of a user's own item among all that are embedded."""
        users, items, weights = embedded
        logits, own = tf.matmul(users, items, transpose_b=True), tf.range(tf.shape(users)[0])
        right = tf.argmax(logits, axis=-1, output_type=tf.int32) == own
        self.hits.update_state(tf.cast(right, tf.float32), weights)
        return tf.nn.sparse_softmax_cross_entropy_with_logits(own, logits)


class OfAllMicrobatches(TwoTowers):
    """The same among the items of the whole batch, however it is cut: two passes."""

    def train_step(self, replica: Replica) -> None:
        """See the base class."""
        weights = self.model.trainable_variables
        grads = replica.gradient_of_batch(self.embed, self.losses, weights)
        replica.apply(self.optimizers["main"], grads, weights)
