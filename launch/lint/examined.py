"""What was not examined: kinds without a schema."""

from collections.abc import Iterator, Sequence

from launch.lint.finding import Finding, note
from launch.lint.pods import pods_of
from launch.lint.schemas import has_schema
from launch.spec.documents import Document, title


def unexamined(documents: Sequence[Document]) -> Iterator[Finding]:
    """A note for every document of a kind without a schema; its pods are examined all the same."""
    for document in documents:
        version, kind = str(document.get("apiVersion", "")), str(document.get("kind", ""))
        if not version or not kind or has_schema(version, kind):
            continue
        also = "; its pods were examined" if pods_of(document) else ""
        yield note(
            title(document),
            f"the fields of {version} {kind} were not examined: no schema is known here{also}",
            "look at them yourself",
        )
