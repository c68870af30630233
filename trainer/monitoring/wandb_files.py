"""Reads the files that Weights & Biases writes offline: what a killed process left in them."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_START, _HEADER, _BLOCK = 7, 7, 32_768
_WHOLE, _LAST = 1, 4


def last_step(folder: Path, run: str) -> int:
    """Return the last step of a run in the folders that its processes have left; -1: none.

    Args:
        folder: `wandb` of the workdir.
        run: id of the run.
    """
    steps = [
        int(record.history.step.num)
        for path in folder.glob(f"offline-run-*/run-{run}.wandb")
        for record in records(path)
        if record.WhichOneof("record_type") == "history"
    ]
    return max(steps, default=-1)


def records(path: Path) -> Iterator[Any]:
    """Give the records, `wandb_internal_pb2.Record`; one that broke off is left out.

    Source: the log format of LevelDB, https://github.com/google/leveldb/blob/main/doc/log_format.md
    """
    from wandb.proto import wandb_internal_pb2

    data, at, parts = path.read_bytes(), _START, b""
    while at + _HEADER <= len(data):
        if (left := _BLOCK - at % _BLOCK) < _HEADER:  # no header fits: the block is filled up
            at += left
            continue
        length, kind = struct.unpack_from("<HB", data, at + 4)  # behind a checksum
        at += _HEADER
        if at + length > len(data):
            return
        parts += data[at : at + length]
        at += length
        if kind in (_WHOLE, _LAST):
            yield wandb_internal_pb2.Record.FromString(parts)
            parts = b""
