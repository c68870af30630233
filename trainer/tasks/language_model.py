"""Predict the next token of a text from all tokens before it."""

from collections.abc import Mapping

import keras
import tensorflow as tf

from common.exit_codes import ExitCode, RunError
from trainer.data.info import Feature
from trainer.task import Microbatch, Parts, Replica, Task


class LanguageModel(Task):
    """Minimize the mean cross-entropy of the tokens of a row, each given those before it.

    An example is one row int[T + 1]: the model reads its first T tokens and is asked for its last
    T. The loss of a row is in nats a token; `bits_per_token` and `token_accuracy` are counted too.

    Args:
        parts: what the config names; its `loss` is not used.
        vocabulary: number of different tokens, numbered from 0; 256 for bytes.
        tokens: feature with the rows.
    """

    def __init__(self, parts: Parts, *, vocabulary: int = 256, tokens: str = "tokens") -> None:
        super().__init__(parts)
        del vocabulary  # the model was built with it
        self.tokens = tokens
        self.model = self.models["main"]
        self.bits = keras.metrics.Mean(name="bits_per_token")
        self.hits = keras.metrics.Mean(name="token_accuracy")
        self.metrics |= {"bits_per_token": self.bits, "token_accuracy": self.hits}

    @classmethod
    def model_shapes(
        cls, features: Mapping[str, Feature], *, vocabulary: int = 256, tokens: str = "tokens"
    ) -> dict[str, tuple[Feature, int]]:
        """From T tokens to T rows of logits over the vocabulary."""
        feature = features.get(tokens)
        length = feature.shape[0] if feature and len(feature.shape) == 1 else None
        if length is None:
            found = ", ".join(f"{name} {list(f.shape)}" for name, f in features.items())
            raise RunError(
                ExitCode.BAD_CONFIG,
                f"config.task.args.tokens={tokens!r}: needs a feature int[T + 1]; found: {found}",
            )
        return {"main": (Feature((length - 1,), "int32"), vocabulary)}

    def train_step(self, replica: Replica) -> None:
        """Gradient of the mean over all rows of the global batch, then one update."""
        weights = self.model.trainable_variables
        grads = replica.gradient(
            lambda microbatch: self._losses(microbatch, training=True), weights
        )
        replica.apply(self.optimizers["main"], grads, weights)

    def eval_step(self, microbatch: Microbatch) -> tf.Tensor:
        """Return the loss of each row, float[b]."""
        return self._losses(microbatch, training=False)

    def predict_step(self, microbatch: Microbatch) -> tf.Tensor:
        """Return the logits of the last T tokens, float[b, T, vocabulary]."""
        return self._logits(microbatch, training=False)

    def _logits(self, microbatch: Microbatch, *, training: bool) -> tf.Tensor:
        read = tf.cast(microbatch[self.tokens], tf.int32)[:, :-1]
        return tf.cast(self.model(read, training=training), tf.float32)

    def _losses(self, microbatch: Microbatch, *, training: bool) -> tf.Tensor:
        asked = tf.cast(microbatch[self.tokens], tf.int32)[:, 1:]
        logits = self._logits(microbatch, training=training)
        nats = tf.nn.sparse_softmax_cross_entropy_with_logits(asked, logits)
        right = tf.argmax(logits, axis=-1, output_type=tf.int32) == asked
        per_row = tf.reduce_mean(nats, axis=-1)
        self.bits.update_state(per_row / tf.math.log(2.0), microbatch.weights)
        self.hits.update_state(
            tf.reduce_mean(tf.cast(right, tf.float32), axis=-1), microbatch.weights
        )
        return per_row
