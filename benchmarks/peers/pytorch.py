"""PyTorch: `python -m benchmarks.peers.pytorch WORK loop|lightning`."""

import sys
from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from benchmarks.peers import work


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut, as in `trainer.models.resnet`."""

    def __init__(self, channels: int, filters: int, stride: int) -> None:
        super().__init__()
        first = conv_norm(channels, filters, 3, stride)
        self.branch = nn.Sequential(first, nn.ReLU(), conv_norm(filters, filters, 3, 1))
        same = stride == 1 and channels == filters
        self.shortcut = nn.Identity() if same else conv_norm(channels, filters, 1, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return float[B, filters, height / stride, width / stride]."""
        return nn.functional.relu(self.shortcut(x) + self.branch(x))


def conv_norm(channels: int, filters: int, size: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, filters, size, stride, size // 2, bias=False), nn.BatchNorm2d(filters)
    )


class Jpegs(torch.utils.data.Dataset):
    """The image files, decoded where they are asked for."""

    def __init__(self) -> None:
        self.paths = sorted(work.jpeg_folder().glob("*.jpg"))

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        from PIL import Image

        image = np.asarray(Image.open(self.paths[index]), np.float32) / 255
        return torch.from_numpy(image).permute(2, 0, 1), index % 10


def model(name: str) -> nn.Module:
    """Return the model that both ways train."""
    if name == "cnn":
        return nn.Sequential(
            *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(64, 64, 3), nn.ReLU(), nn.Flatten()),
            *(nn.Linear(576, 128), nn.ReLU(), nn.Linear(128, 10)),
        )
    if name == "resnet":
        stem = nn.Sequential(conv_norm(3, 16, 3, 1), nn.ReLU())
        blocks = [Block(16, 16, 1), Block(16, 32, 2), Block(32, 64, 2)]
        head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)]
        return nn.Sequential(stem, *blocks, *head)
    if name == "jpeg":
        return nn.Sequential(nn.AvgPool2d(32), nn.Flatten(), nn.Linear(147, 10))
    dropout = work.WORKS[name].dropout
    drop = [nn.Dropout(dropout)] if dropout else []
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), *drop, nn.Linear(128, 10))


def tensors(name: str) -> tuple[torch.Tensor, torch.Tensor]:
    x, y = work.images(name)
    return torch.from_numpy(x).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(y)


def jpegs() -> torch.utils.data.DataLoader:
    """Return shuffled batches of images that two processes decode."""
    options = {"batch_size": work.WORKS["jpeg"].batch, "shuffle": True, "drop_last": True}
    return torch.utils.data.DataLoader(Jpegs(), num_workers=2, persistent_workers=True, **options)


def batches(name: str) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield shuffled batches without an end."""
    batch = work.WORKS[name].batch
    if name == "jpeg":
        loader = jpegs()
        while True:
            yield from loader
    x, y = tensors(name)
    while True:
        index = torch.randint(len(x), (batch,))
        yield x[index], y[index]


def loop(name: str) -> None:
    made, data = model(name), batches(name)
    optimizer = torch.optim.Adam(made.parameters(), work.RATE)
    loss_fn = nn.CrossEntropyLoss()

    def run(count: int) -> int:
        total, right = torch.zeros(()), torch.zeros((), dtype=torch.int64)
        for _ in range(count):
            x, target = next(data)
            logits = made(x)
            loss = loss_fn(logits, target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.detach()
            right += (logits.argmax(1) == target).sum()
        total.item()
        return count

    work.serve(lambda: run(1), lambda: run(min(64, work.WORKS[name].many)))


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

    module, batch = Module(), work.WORKS[name].batch
    if name == "jpeg":
        data = jpegs()
    else:
        data = DataLoader(TensorDataset(*tensors(name)), batch_size=batch, shuffle=True)
    quiet = dict.fromkeys(
        ("enable_progress_bar", "enable_model_summary", "enable_checkpointing"), False
    )

    def run(count: int) -> int:
        trainer = lightning.Trainer(
            max_steps=count, accelerator="cpu", devices=1, logger=False, **quiet
        )
        trainer.fit(module, data)
        return count

    work.serve(lambda: run(1), lambda: run(min(100, 6 * work.WORKS[name].many)))


if __name__ == "__main__":
    {"loop": loop, "lightning": with_lightning}[sys.argv[2]](sys.argv[1])
