"""Kubernetes documents as text and back: YAML that reads well and parses to the same values."""

from collections.abc import Iterable, Iterator
from typing import Any

import yaml

Document = dict[str, Any]


class _Dumper(yaml.SafeDumper):
    """Block style, and programs as literal blocks instead of one quoted line."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002
        """Repeats shared values: anchors in a manifest surprise its readers."""
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        """Indents lists below their key, as people write them."""
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # Characters that YAML takes for line ends or drops are safe between double quotes only.
    plain = text.replace("\n", "").isprintable()
    style = ("|" if "\n" in text else None) if plain else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def dump(documents: Iterable[object]) -> str:
    """The documents as one YAML stream."""
    return "".join(
        "---\n" + yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=96, allow_unicode=True)
        for document in documents
    )


def load(text: str) -> list[Document]:
    """Every object of a YAML stream; the members of a List one by one, no Kustomization."""
    return [part for whole in yaml.safe_load_all(text) for part in _members(whole)]


def _members(document: object) -> Iterator[Document]:
    if not isinstance(document, dict) or document.get("kind") == "Kustomization":
        return
    if str(document.get("kind", "")).endswith("List") and isinstance(document.get("items"), list):
        for item in document["items"]:
            yield from _members(item)
    else:
        yield document
