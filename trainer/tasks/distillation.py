"""A teacher and its student, trained side by side: two optimizers, two phases in every step."""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from common.exit_codes import ExitCode, RunError
from trainer.data.info import Feature
from trainer.losses.from_keras import as_per_example
from trainer.task import Microbatch, Parts, Replica, Task
from trainer.tasks.supervised import Supervised


class Distillation(Task):
    """The student ("main") learns from labels and from what the teacher makes of them.

    Formula: (1 - a) * loss(labels, s) + a * T^2 * KL(softmax(t / T) || softmax(s / T)) with the
    logits t of the teacher and s of the student. The config's `loss` alone trains the teacher,
    and its metrics look at the student.

    Args:
        parts: models and optimizers with the roles "main" and "teacher".
        temperature: T, softens both distributions.
        alpha: a, share of the teacher in the student's loss, in [0, 1].
        input: feature the models read.
        label: feature with the class.

    Source: Hinton et al., Distilling the Knowledge in a Neural Network, 2015, section 2; both
    trained at once as in Anil et al., Large Scale Distributed Neural Network Training through
    Online Distillation, ICLR 2018.
    """

    def __init__(
        self,
        parts: Parts,
        *,
        temperature: float = 3.0,
        alpha: float = 0.7,
        input: str = "image",
        label: str = "label",
    ) -> None:
        super().__init__(parts)
        if "teacher" not in parts.optimizers:
            raise RunError(
                ExitCode.BAD_CONFIG, "config.optimizers has no 'teacher': add one for its phase"
            )
        self.temperature, self.alpha = temperature, alpha
        self.input, self.label = input, label
        self.student, self.teacher = self.models["main"], self.models["teacher"]
        self.teacher_accuracy = keras.metrics.SparseCategoricalAccuracy("teacher_accuracy")
        self.metrics["teacher_accuracy"] = self.teacher_accuracy
        self.student_metrics = list(parts.metrics.values())
        self.loss = as_per_example(self.loss)

    @classmethod
    def model_shapes(
        cls,
        features: Mapping[str, Feature],
        *,
        temperature: float = 3.0,
        alpha: float = 0.7,
        **names: str,
    ) -> dict[str, tuple[Any, int]]:
        """Both models see the same input and tell the same classes apart."""
        del temperature, alpha
        shape = Supervised.model_shapes(features, **names)["main"]
        return {"main": shape, "teacher": shape}

    def train_step(self, replica: Replica) -> None:
        """Update the teacher from the labels, then the student from labels and teacher."""
        weights = self.teacher.trainable_variables
        grads = replica.gradient(self._teacher_loss, weights)
        replica.apply(self.optimizers["teacher"], grads, weights)

        weights = self.student.trainable_variables
        grads = replica.gradient(self._student_loss, weights)
        replica.apply(self.optimizers["main"], grads, weights)

    def eval_step(self, microbatch: Microbatch) -> tf.Tensor:
        """Return the student's loss against the labels, float[b]."""
        self._teacher_loss(microbatch, training=False)
        logits = self._logits(self.student, microbatch, training=False)
        return self._against_labels(microbatch, logits)

    def _teacher_loss(self, microbatch: Microbatch, training: bool = True) -> tf.Tensor:
        logits = self._logits(self.teacher, microbatch, training)
        self.teacher_accuracy.update_state(microbatch[self.label], logits, microbatch.weights)
        return self.loss(microbatch[self.label], logits)

    def _student_loss(self, microbatch: Microbatch) -> tf.Tensor:
        student = self._logits(self.student, microbatch, training=True)
        # The teacher is asked, not taught: as it predicts, without dropout.
        teacher = tf.stop_gradient(self._logits(self.teacher, microbatch, training=False))
        soft = soft_loss(teacher, student, self.temperature)
        return (1 - self.alpha) * self._against_labels(microbatch, student) + self.alpha * soft

    def _against_labels(self, microbatch: Microbatch, logits: tf.Tensor) -> tf.Tensor:
        for metric in self.student_metrics:
            metric.update_state(microbatch[self.label], logits, sample_weight=microbatch.weights)
        return self.loss(microbatch[self.label], logits)

    def _logits(self, model: keras.Model, microbatch: Microbatch, training: bool) -> tf.Tensor:
        return tf.cast(model(microbatch[self.input], training=training), tf.float32)


def soft_loss(teacher: tf.Tensor, student: tf.Tensor, temperature: float) -> tf.Tensor:
    """Return T^2 * KL(teacher || student) of softened logits [b, K]: float[b].

    T^2 keeps the size of the gradient, which the softening divides by T^2.
    """
    log_p = tf.nn.log_softmax(teacher / temperature)
    log_q = tf.nn.log_softmax(student / temperature)
    return temperature**2 * tf.reduce_sum(tf.exp(log_p) * (log_p - log_q), axis=-1)
