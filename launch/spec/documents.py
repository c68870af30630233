"""Kubernetes documents: as text and back, and read although they may be incomplete."""

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
_Dumper.add_multi_representer(str, _text)  # members of enumerations are texts too


def dump(documents: Iterable[object]) -> str:
    """The documents as one YAML stream."""
    return "".join(
        "---\n" + yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=96, allow_unicode=True)
        for document in documents
    )


def load(text: str) -> list[Document]:
    """Every object of a YAML stream; see `members`."""
    return members(yaml.safe_load_all(text))


def members(parsed: Iterable[object]) -> list[Document]:
    """Every object of parsed documents; the members of a List one by one, no Kustomization."""
    return [part for whole in parsed for part in _members(whole)]


def _members(document: object) -> Iterator[Document]:
    if not isinstance(document, dict) or document.get("kind") == "Kustomization":
        return
    if str(document.get("kind", "")).endswith("List") and isinstance(document.get("items"), list):
        yield from members(document["items"])
    else:
        yield document


def mapping(value: object, *path: str) -> Document:
    """The object at a path of fields; empty where it is missing or is no object.

    Manifests of users are of any shape, and a status grows field by field: schemas report a wrong
    type, readers pass over it.
    """
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def sequence(value: object, *path: str) -> list[Any]:
    """The list at a path of fields, with the same leniency."""
    found = mapping(value, *path[:-1]).get(path[-1]) if path else value
    return found if isinstance(found, list) else []


def mappings(value: object, *path: str) -> list[Document]:
    """The list of objects at a path of fields; a member that is no object is an empty one."""
    return [mapping(member) for member in sequence(value, *path)]


def whole(value: object, default: int) -> int:
    """The value if it is a whole number, else the default."""
    return value if isinstance(value, int) and not isinstance(value, bool) else default


def without_empty(fields: Document) -> Document:
    """The fields that say something: no empty text, list or object."""
    return {key: value for key, value in fields.items() if value not in ("", [], {})}


def title(document: Document) -> str:
    """Kind and name of a document."""
    return f"{document.get('kind', 'no kind')}/{mapping(document, 'metadata').get('name', '')}"
