"""A task in float16 whose first scale is too large for it, so that its first steps overflow."""

from trainer.optimizers.loss_scale import LossScale
from trainer.tasks.supervised import Supervised


class Overflowing(Supervised):
    def __init__(self, parts, **args):
        super().__init__(parts, **args)
        self.loss_scale = LossScale(2.0**24, growth_steps=3)
