"""A tracker that keeps a list in a file, and fails when it is told to."""

import json
import pathlib
import time
from collections.abc import Mapping


class Listing:
    """Refuses to take anything while the file `down` is there."""

    def __init__(self, workdir: pathlib.Path, name: str = "listing.jsonl") -> None:
        self._workdir, self._file = workdir, workdir.parent / f"{workdir.name}-{name}"

    def write(self, step: int, values: Mapping[str, float]) -> None:
        if (self._workdir.parent / "down").exists():
            raise ConnectionError("no answer from https://user:secret@tracker")
        with self._file.open("a") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")

    def close(self) -> None:
        ended = "summary.json" if (self._workdir / "summary.json").exists() else "nothing"
        self._file.with_suffix(".closed").write_text(ended)


class NeverAnswers(Listing):
    def write(self, *_: object) -> None:
        time.sleep(3600)
