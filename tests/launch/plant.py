"""Plants a fault into manifests: one value at one place."""

import copy
from pathlib import Path
from typing import Any

from launch.render import manifest
from launch.render.examples import EXAMPLES
from launch.spec import documents

FOREIGN = {path.stem: path for path in (Path(__file__).parent / "manifests").glob("*.yaml")}
DELETE = object()


def load(base: str) -> list[dict]:
    """A correct manifest: one that Lockstep renders, or one of others."""
    if base in FOREIGN:
        return documents.load(FOREIGN[base].read_text())
    return manifest.render(EXAMPLES[base])


def plant(manifests: list[dict], kind: str, path: str, value: Any) -> list[dict]:
    """The documents with a value changed, taken away (DELETE) or put through a function.

    `kind` is a kind, or KIND/NAME where there are several; `path` keys and places, with dots.
    """
    planted = copy.deepcopy(manifests)
    wanted, _, name = kind.partition("/")
    [document] = [
        one
        for one in planted
        if one["kind"] == wanted and name in ("", one["metadata"].get("name"))
    ]
    *parents, last = path.split(".")
    place: Any = document
    for key in parents:
        place = place[int(key)] if isinstance(place, list) else place[key]
    if isinstance(place, list):
        last = int(last)
    before = copy.deepcopy(place)
    if value is DELETE:
        del place[last]
    elif callable(value):
        place[last] = value(place[last])
    else:
        place[last] = value
    assert place != before, "the fault changes nothing"
    return planted


def with_(*extra: Any) -> Any:
    """A list with more members."""
    return lambda members: [*members, *extra]


def also(**fields: Any) -> Any:
    """A mapping with more fields."""
    return lambda mapping: {**mapping, **fields}


def keys(**fields: Any) -> Any:
    """A mapping with more fields whose keys hold `/` and `.`: written `__` and `_o_`."""
    named = {k.replace("__", "/").replace("_o_", ".").replace("_", "-"): fields[k] for k in fields}
    return lambda mapping: {**mapping, **named}


def swap(old: str, new: str) -> Any:
    """A text with a part of it replaced."""
    return lambda text: text.replace(old, new)


def swap_all(old: str, new: str) -> Any:
    """A list of texts with a part of each replaced."""
    return lambda texts: [text.replace(old, new) for text in texts]
