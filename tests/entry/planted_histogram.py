"""A user's experiment whose loss counts with an operation that no GPU computes in one order."""

import tensorflow as tf

from trainer.config import PartConfig, TrainConfig


def counting_loss(y_true, y_pred):
    counts = tf.math.bincount(tf.cast(y_true, tf.int32), minlength=10)  # the line that is named
    rare = 1.0 / tf.cast(tf.gather(counts, y_true) + 1, tf.float32)
    return rare * tf.nn.sparse_softmax_cross_entropy_with_logits(y_true, y_pred)


def get_config():
    return TrainConfig(
        train_steps=2,
        global_batch_size=8,
        model=PartConfig("mlp", {"hidden": [8]}),
        loss=PartConfig(f"{__name__}:counting_loss"),
    )
