"""A task during whose first trace SIGTERM comes."""

import os
import pathlib
import signal
import traceback
from typing import Any

import tensorflow as tf

from trainer.task import Microbatch, Parts
from trainer.tasks.supervised import Supervised


class Signalled(Supervised):
    """Supervised training.

    Args:
        parts: of the config.
        marker: file that says that the signal was sent.
    """

    def __init__(self, parts: Parts, *, marker: str) -> None:
        super().__init__(parts)
        self._marker = pathlib.Path(marker)

    @classmethod
    def model_shapes(cls, features: Any, **_: Any) -> Any:
        return Supervised.model_shapes(features)

    def _losses(self, microbatch: Microbatch, *, training: bool) -> tf.Tensor:
        # The rehearsal traces it too: a signal there ends the start, and nothing is kept.
        in_a_run = any("inner_loop" in frame.filename for frame in traceback.extract_stack())
        if training and in_a_run and not self._marker.exists():
            self._marker.touch()
            os.kill(os.getpid(), signal.SIGTERM)
        return super()._losses(microbatch, training=training)
