"""Small programs that run inside the pod; the launcher reads their text and never imports them."""

import importlib.resources


def source(name: str) -> str:
    """The text of a program, handed to `python -c` so that the image needs nothing of ours."""
    return importlib.resources.files(__name__).joinpath(f"{name}.py").read_text(encoding="utf-8")
