"""Checkpoints: what is visible is whole, what is damaged is named, what differs is refused."""

from trainer.checkpoint.folder import damage, read, read_meta, write
from trainer.checkpoint.saver import Saver
from trainer.checkpoint.state import Meta, State, digest, evaluated, form, match
from trainer.checkpoint.store import Store

__all__ = [
    "Meta",
    "Saver",
    "State",
    "Store",
    "damage",
    "digest",
    "evaluated",
    "form",
    "match",
    "read",
    "read_meta",
    "write",
]
