"""Reads, checks and decodes every record of a dataset once, and lists those that are bad."""

import contextlib
import dataclasses
import functools
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from common import files
from common.exit_codes import ExitCode, RunError
from trainer import user_code
from trainer.config import TrainConfig
from trainer.data import sources
from trainer.data.info import DatasetInfo, Split
from trainer.data.records.files import Stage
from trainer.data.records.read_plan import ReadPlan, Served
from trainer.data.sources import roles, skip_list
from trainer.data.sources.skip_list import Bad
from trainer.data.sources.source import Examples
from trainer.storage.failures import local_io

_BLOCK = 64
_REPORT_SECS = 5.0
Found = list[tuple[int, str]]
"""Example, and what is wrong with it."""


def verify(config: TrainConfig, stage: Stage, path: Path | None) -> None:
    """Print a line for every bad record of the splits that a config uses, and write a skip list.

    Args:
        config: names the data; its own skip list is not looked at.
        stage: where remote files are brought.
        path: of the list; None: none is written.

    Raises:
        RunError: BAD_DATA where something is bad; and what describes a dataset raises.
    """
    dataset = roles.of_task(config)
    skips = sources.can_skip(dataset.name)
    dataset = dataclasses.replace(dataset, skip_list="", skip_bad_records=skips)
    info = sources.describe(dataset, stage)
    for line in info.skipped:
        print(line, flush=True)
    bad: list[Bad] = []
    total = sum(split.num_examples for split in _whole_splits(info))
    progress = _Progress(total)
    for split in _whole_splits(info):
        for one in _bad_of(info, split, stage, progress):
            print(one.reason, flush=True)
            bad.append(one)
    count = len(bad) + len(info.skipped)
    if not count:
        print(f"verified {total:,} records: all are good")
        return
    advice = "correct the files"
    if path is not None:
        with local_io(path, "--skip_list"):
            files.write_text(path, skip_list.text(info, bad))
        advice += f", or leave these out: --config.dataset.skip_list={path}"
    raise RunError(
        ExitCode.BAD_DATA, f"{count} bad records, and {total - len(bad):,} good ones; {advice}"
    )


def _whole_splits(info: DatasetInfo) -> list[Split]:
    """Return the splits of which the config uses a part, each once and whole."""
    whole, seen = [], set[str]()
    for split in filter(None, (info.train, info.evaluation)):
        shards = tuple(shard for shard in split.shards if shard.url not in seen)
        seen |= {shard.url for shard in shards}
        stop = sum(shard.num_examples for shard in shards)
        if stop:
            whole.append(dataclasses.replace(split, shards=shards, start=0, stop=stop, joined=()))
    return whole


def _bad_of(info: DatasetInfo, split: Split, stage: Stage, progress: "_Progress") -> Iterator[Bad]:
    """Yield the bad records of a split, shard by shard, so that few are open at a time."""
    sections = split.sections
    plan = ReadPlan(info, split, info.features, range(len(sections)), stage)
    starts = np.cumsum([0, *split.sizes])
    with (
        contextlib.closing(sources.open_split(plan)) as examples,
        ThreadPoolExecutor(os.cpu_count()) as pool,
    ):
        for visit, section in enumerate(sections):
            first, shard = int(starts[visit]), section.shard
            place = (split.name, split.shards.index(shard), shard.name, shard.content)
            ids = np.arange(first, first + section.size)
            blocks = np.array_split(ids, -(-len(ids) // _BLOCK))
            for found in pool.map(functools.partial(_find, examples, visit), blocks):
                for example, reason in found:
                    yield Bad(*place, example - first, reason)
                progress.count(len(ids) / len(blocks), len(found))


def _find(examples: Examples, visit: int, ids: np.ndarray) -> Found:
    """Return the bad ones among some examples of a shard: halves that are good are done with."""
    reason = _reason(examples, ids, visit)
    if not reason:
        return []
    if len(ids) == 1:
        return [(int(ids[0]), reason)]
    found = [bad for half in np.array_split(ids, 2) for bad in _find(examples, visit, half)]
    if not found:  # it is all of them together
        raise RunError(ExitCode.BAD_DATA, reason)
    return found


def _reason(examples: Examples, ids: np.ndarray, visit: int) -> str:
    """Return what the first bad one of some examples is told by; "": all are good."""
    served = Served(ids, np.full(len(ids), visit), np.full(len(ids), visit))
    try:
        examples.check(served)
    except RunError as error:
        if error.code is not ExitCode.BAD_DATA:
            raise
        return error.reason
    except Exception as error:  # of the user's code
        return user_code.mistake(error) or user_code.reason_of(error)
    return ""


class _Progress:
    """Prints the progress every few seconds."""

    def __init__(self, total: int) -> None:
        self._total, self._done, self._bad = total, 0.0, 0
        self._started = self._reported = time.monotonic()

    def count(self, done: float, bad: int) -> None:
        """Count examples that are done with, and the bad ones among them."""
        self._done, self._bad = self._done + done, self._bad + bad
        now = time.monotonic()
        if now - self._reported > _REPORT_SECS:
            self._reported = now
            rate = self._done / (now - self._started)
            left = (self._total - self._done) / rate
            print(
                f"verified {self._done:,.0f} of {self._total:,} records, {self._bad} bad, "
                f"{rate:,.0f} records/s, {left:,.0f} s left",
                file=sys.stderr,
                flush=True,
            )
