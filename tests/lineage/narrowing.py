"""The loop of docs/guide/search.md: an optimizer outside of the trainer asks and tells."""

import random

from trainer import OptimizerConfig, PartConfig, TrainConfig, train


class Narrowing:
    def __init__(self, low, high, seed):
        self.low, self.high, self.told = low, high, []
        self.random = random.Random(seed)

    def ask(self):
        return self.low * (self.high / self.low) ** self.random.random()

    def tell(self, rate, loss):
        self.told.append((loss, rate))
        best, shrink = self.best(), (self.high / self.low) ** 0.25
        self.low, self.high = max(self.low, best / shrink), min(self.high, best * shrink)

    def best(self):
        return min(self.told)[1]


def loss_of(rate, trial):
    config = TrainConfig(
        train_steps=24,
        model=PartConfig("mlp"),
        optimizer=OptimizerConfig("sgd", rate),
    )
    return train(config, f"runs/narrowing/trial-{trial}").summary["eval"]["loss"]


search = Narrowing(1e-3, 1.0, seed=0)
for trial in range(3):
    rate = search.ask()
    search.tell(rate, loss_of(rate, trial))
print(f"best rate: {search.best():.4g}")
