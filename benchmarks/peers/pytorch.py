"""PyTorch: `python -m benchmarks.peers.pytorch WORK loop|lightning`."""

import sys

import torch
from torch import nn

from benchmarks.peers import work


def model(name: str) -> nn.Module:
    """Return the model that both ways train."""
    if name == "cnn":
        return nn.Sequential(
            *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(64, 64, 3), nn.ReLU(), nn.Flatten()),
            *(nn.Linear(576, 128), nn.ReLU(), nn.Linear(128, 10)),
        )
    drop = [nn.Dropout(work.DROPOUT[name])] if work.DROPOUT[name] else []
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), *drop, nn.Linear(128, 10))


def tensors() -> tuple[torch.Tensor, torch.Tensor]:
    x, y = work.images()
    return torch.from_numpy(x).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(y)


def loop(name: str) -> None:
    made, (x, y), batch = model(name), tensors(), work.BATCH[name]
    optimizer = torch.optim.Adam(made.parameters(), work.RATE)
    loss_fn = nn.CrossEntropyLoss()

    def run(count: int) -> int:
        order = torch.randint(len(x), (count, batch))
        total, right = torch.zeros(()), torch.zeros((), dtype=torch.int64)
        for index in order:
            target = y[index]
            logits = made(x[index])
            loss = loss_fn(logits, target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.detach()
            right += (logits.argmax(1) == target).sum()
        total.item()
        return count

    work.serve(lambda: run(1), lambda: run(64 if name != "cnn" else 16))


def with_lightning(name: str) -> None:
    import lightning
    from torch.utils.data import DataLoader, TensorDataset

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model, self.loss_fn = model(name), nn.CrossEntropyLoss()

        def training_step(self, batch: list[torch.Tensor], _: int) -> torch.Tensor:
            return self.loss_fn(self.model(batch[0]), batch[1])

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters(), work.RATE)

    module, batch = Module(), work.BATCH[name]
    data = DataLoader(TensorDataset(*tensors()), batch_size=batch, shuffle=True)
    quiet = dict.fromkeys(
        ("enable_progress_bar", "enable_model_summary", "enable_checkpointing"), False
    )

    def run(count: int) -> int:
        trainer = lightning.Trainer(
            max_steps=count, accelerator="cpu", devices=1, logger=False, **quiet
        )
        trainer.fit(module, data)
        return count

    work.serve(lambda: run(1), lambda: run(100))


if __name__ == "__main__":
    {"loop": loop, "lightning": with_lightning}[sys.argv[2]](sys.argv[1])
