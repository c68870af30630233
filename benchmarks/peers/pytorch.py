"""PyTorch: `python -m benchmarks.peers.pytorch WORK loop|lightning [compile] [bfloat16]`.

On a GPU where there is one: examples in its memory, images channels last. bfloat16 is by autocast.
"""

import contextlib
import sys
from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from benchmarks.peers import work

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
# What is called float32 is float32 in every contender.
torch.backends.cudnn.allow_tf32 = False


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


class Decoder(nn.Module):
    """The transformer of `trainer.models.transformer`."""

    def __init__(self, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.tokens, self.places = (nn.Embedding(n, width) for n in (work.VOCABULARY, work.TOKENS))
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(
                *(width, heads, 4 * width, 0.0), "gelu", batch_first=True, norm_first=True
            )
            for _ in range(depth)
        )
        self.norm, self.last = nn.LayerNorm(width), nn.Linear(width, work.VOCABULARY)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return float[B, vocabulary, T] from int[B, T]."""
        y = self.tokens(x) + self.places.weight
        mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1], x.device, y.dtype)
        for block in self.blocks:
            y = block(y, src_mask=mask, is_causal=True)
        return self.last(self.norm(y)).transpose(1, 2)


class Towers(nn.Module):
    """The two towers of `benchmarks.peers.towers`."""

    def __init__(self) -> None:
        super().__init__()
        self.sides = nn.ModuleList(tower(size, work.WIDTH) for size in (work.USERS, work.ITEMS))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return float[B, B] from int[B, 2]: the score of every item for every user."""
        users, items = (side(x[:, index]) for index, side in enumerate(self.sides))
        return users @ items.T


def tower(size: int, width: int) -> nn.Sequential:
    table = nn.Embedding(size, width)
    nn.init.uniform_(table.weight, -0.05, 0.05)  # as Keras does: the first scores are small
    return nn.Sequential(table, nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))


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
    if name == "resnet50":
        from torchvision.models import resnet50

        return resnet50()
    if name in work.TRANSFORMERS:
        return Decoder(**work.TRANSFORMERS[name])
    if name == "towers":
        return Towers()
    if name == "jpeg":
        layers = [nn.AvgPool2d(32), nn.Flatten(), nn.Linear(147, 10)]
    else:
        dropout = work.WORKS[name].dropout
        drop = [nn.Dropout(dropout)] if dropout else []
        layers = [nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), *drop, nn.Linear(128, 10)]
    return nn.Sequential(*layers)


def tensors(name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return all examples, and what the model is asked for."""
    x, y = work.examples(name)
    if x.ndim == 2:  # whole numbers: of tokens, or of users and items
        return torch.from_numpy(x).long().to(DEVICE), torch.from_numpy(y).long().to(DEVICE)
    layout = torch.channels_last if DEVICE == "cuda" else torch.contiguous_format
    images = torch.from_numpy(x).permute(0, 3, 1, 2).contiguous(memory_format=layout)
    return images.to(DEVICE), torch.from_numpy(y).to(DEVICE)


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
    places = torch.arange(batch, device=DEVICE)
    while True:
        index = torch.randint(len(x), (batch,), device=DEVICE)
        picked = x[index]
        asked = places if work.WORKS[name].in_batch else y[index]
        yield picked / 255 if picked.dtype == torch.uint8 else picked, asked


def loop(name: str, *, compiled: bool, in_bfloat16: bool) -> None:
    made, data = model(name).to(DEVICE), batches(name)
    if DEVICE == "cuda":
        made = made.to(memory_format=torch.channels_last)
        torch.backends.cudnn.benchmark = True
    called = torch.compile(made) if compiled else made
    optimizer = torch.optim.Adam(made.parameters(), work.RATE, fused=DEVICE == "cuda")
    loss_fn = nn.CrossEntropyLoss()

    def precision() -> contextlib.AbstractContextManager[object]:
        return torch.autocast(DEVICE, torch.bfloat16) if in_bfloat16 else contextlib.nullcontext()

    def run(count: int) -> int:
        total = torch.zeros((), device=DEVICE)
        right = torch.zeros((), dtype=torch.int64, device=DEVICE)
        for _ in range(count):
            x, target = next(data)
            with precision():
                logits = called(x)
                loss = loss_fn(logits, target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.detach()
            right += (logits.argmax(1) == target).sum()
        total.item()
        return count

    work.serve(lambda: run(1), lambda: run(min(64, work.WORKS[name].many)), device_bytes)


def device_bytes() -> int | None:
    """Return the peak memory of the GPU; None where there is none."""
    return torch.cuda.max_memory_allocated() if DEVICE == "cuda" else None


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
    if sys.argv[2] == "lightning":
        with_lightning(sys.argv[1])
    else:
        in_bfloat16 = "bfloat16" in (work.WORKS[sys.argv[1]].precision, *sys.argv)
        loop(sys.argv[1], compiled="compile" in sys.argv, in_bfloat16=in_bfloat16)
