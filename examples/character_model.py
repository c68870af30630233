"""A character language model that writes: little sums in words, and how many of them are right.

The text is "ann has 7 pears and eats 3, so 4 are left." with names, fruit and numbers from a seed.
The task is the trainer's own, `language_model`; `on_evaluation` adds plain Python that draws one
character after another, keeps what was written, and counts the sentences that are right: a thing
that no loss says.

Source: Vaswani et al., Attention Is All You Need, NeurIPS 2017.
Command: python -m trainer --config=examples/character_model.py --workdir=runs/character_model
Result: right >= 0.7; 0.875 after 640 steps
"""

import re

import numpy as np
import tensorflow as tf

from trainer import (
    DatasetConfig,
    EvaluationReport,
    ModelConfig,
    OptimizerConfig,
    PartConfig,
    TrainConfig,
)
from trainer.tasks.language_model import LanguageModel

ALPHABET = " ,.0123456789abcdefghijklmnopqrstuvwxyz"
NAMES = ("ann", "ben", "carl", "dora", "eve", "finn")
FRUITS = ("pears", "plums", "figs", "dates", "limes")
SENTENCE = re.compile(
    rf"({'|'.join(NAMES)}) has (\d) ({'|'.join(FRUITS)}) and eats (\d), so (\d) (is|are) left"
)
LENGTH = 64
"""Characters that the model reads: a sentence and a part of the next."""


def text(train: int = 4096, test: int = 512, seed: int = 0) -> dict[str, dict[str, np.ndarray]]:
    """Return split -> {"tokens": int32[N, LENGTH + 1]}, places in ALPHABET; a row starts anew."""
    random = np.random.default_rng(seed)

    def sentence() -> str:
        has = random.integers(2, 10)
        eats = random.integers(1, has)
        left = "1 is" if has - eats == 1 else f"{has - eats} are"
        name, fruit = random.choice(NAMES), random.choice(FRUITS)
        return f"{name} has {has} {fruit} and eats {eats}, so {left} left. "

    rows = ["".join(sentence() for _ in range(2))[: LENGTH + 1] for _ in range(train + test)]
    tokens = np.array([[ALPHABET.index(c) for c in row] for row in rows], np.int32)
    return {"train": {"tokens": tokens[:train]}, "test": {"tokens": tokens[train:]}}


def is_right(sentence: str) -> bool:
    """Whether a sentence is one of the language, and its sum is right."""
    found = SENTENCE.fullmatch(sentence)
    if not found:
        return False
    has, eats, left = (int(found[group]) for group in (2, 4, 5))
    return has - eats == left and (found[6] == "is") == (left == 1)


class Writer(LanguageModel):
    """A language model that is asked to write after each evaluation."""

    def on_evaluation(self, report: EvaluationReport) -> None:
        """Write 32 texts, and count the right ones among the whole sentences."""
        texts = self.written(rows=32, length=LENGTH)
        sentences = [said.strip() for text in texts for said in text.split(".")[:-1]]
        report.text("written", "\n".join(texts[:4]))
        right = sum(map(is_right, sentences)) / max(1, len(sentences))
        report.scalars({"right": right})

    def written(self, rows: int, length: int) -> list[str]:
        """Draw texts from the model, which begin with any name; the same for the same weights."""
        random = np.random.default_rng(0)
        tokens = np.zeros([rows, length], np.int32)
        tokens[:, 0] = [ALPHABET.index(random.choice(NAMES)[0]) for _ in range(rows)]
        for place in range(1, length):
            logits = self.model(tf.constant(tokens), training=False)[:, place - 1]
            odds = np.cumsum(tf.nn.softmax(logits).numpy(), axis=-1)
            drawn = (odds < random.uniform(size=[rows, 1])).sum(-1)
            tokens[:, place] = np.minimum(drawn, len(ALPHABET) - 1)
        return ["".join(ALPHABET[token] for token in row) for row in tokens]


def get_config() -> TrainConfig:
    """Return the experiment."""
    return TrainConfig(
        epochs=5,
        global_batch_size=32,
        virtual_replicas=4,
        eval_every_steps=640,
        dataset=DatasetConfig(f"{__name__}:text"),
        task=PartConfig(f"{__name__}:Writer", {"vocabulary": len(ALPHABET)}),
        model=ModelConfig("transformer", {"width": 64, "depth": 2, "heads": 4}),
        metrics=(),
        optimizer=OptimizerConfig(
            "adamw", 4e-3, clip_norm=1.0, schedule=PartConfig("cosine"), warmup_steps=20
        ),
    )
