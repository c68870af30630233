"""Text from a small grammar, in which a verb must agree with a noun said some words earlier."""

import numpy as np

ALPHABET = "abcdefghijklmnopqrstuvwxyz ."
Splits = dict[str, dict[str, np.ndarray]]

_NOUNS = ("fox", "owl", "crab", "moth", "goat", "lark", "toad", "newt")
_ADJECTIVES = ("old", "red", "shy", "wild", "calm", "grey")
_VERBS = ("follow", "visit", "greet", "watch", "hear", "lead")
_PLACES = ("by the river", "in the wood", "near the mill", "under the hill")


def sentences(train: int = 4096, test: int = 512, length: int = 65, seed: int = 0) -> Splits:
    """Return rows of characters, each the beginning of a text of its own.

    A sentence is "the old foxes by the river follow the owl.": the ending of the verb depends on
    the first noun and not on those between, which is what attention has to find.

    Args:
        train: rows to train on.
        test: rows held out.
        length: characters in a row, one more than a model reads.
        seed: of the text.

    Returns:
        split -> {"tokens": int32[N, length]}, places in `ALPHABET`.
    """
    random = np.random.default_rng(seed)
    codes = {letter: index for index, letter in enumerate(ALPHABET)}
    rows = [[codes[c] for c in _text(random, length)] for _ in range(train + test)]
    tokens = np.array(rows, np.int32)
    return {"train": {"tokens": tokens[:train]}, "test": {"tokens": tokens[train:]}}


def decode(tokens: np.ndarray) -> str:
    """Return the text of one row."""
    return "".join(ALPHABET[index] for index in tokens)


def _text(random: np.random.Generator, length: int) -> str:
    text = ""
    while len(text) < length:
        text += _sentence(random) + ". "
    return text[:length]


def _sentence(random: np.random.Generator) -> str:
    many = random.random() < 0.5
    subject = _noun_phrase(random, many)
    if random.random() < 0.5:
        subject += " " + _PLACES[random.integers(len(_PLACES))]
    if random.random() < 0.3:
        subject += " and its friend" if not many else " and their friend"
    verb = _VERBS[random.integers(len(_VERBS))]
    return f"{subject} {verb}{'' if many else 's'} {_noun_phrase(random, random.random() < 0.5)}"


def _noun_phrase(random: np.random.Generator, many: bool) -> str:
    words = ["the"]
    if random.random() < 0.5:
        words.append(_ADJECTIVES[random.integers(len(_ADJECTIVES))])
    noun = _NOUNS[random.integers(len(_NOUNS))]
    return " ".join([*words, _plural(noun) if many else noun])


def _plural(noun: str) -> str:
    return f"{noun}es" if noun.endswith("x") else f"{noun}s"
