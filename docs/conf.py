"""How Sphinx makes a site of these pages: `make docs`."""

import re
from pathlib import Path

from sphinx.application import Sphinx

from trainer.version import VERSION

project = "Lockstep"
version = release = VERSION
project_copyright = "the authors of Lockstep"
extensions = ["myst_parser"]
html_theme = "furo"
html_title = f"Lockstep {VERSION}"
html_show_sphinx = False
html_copy_source = False
# A heading is linked to by its words, as on a forge.
myst_heading_anchors = 4
_LINK = re.compile(r"\[(?P<text>[^]]+)\]\((?P<target>\.\./[^)#]+)(#[^)]*)?\)")


def setup(app: Sphinx) -> None:
    """Register what is done with each page before it is parsed."""
    app.connect("source-read", _name_files)


def _name_files(app: Sphinx, page: str, source: list[str]) -> None:
    """Name files of the repository in place of links to them: the site does not hold them."""
    docs = Path(app.srcdir)

    def named(link: re.Match[str]) -> str:
        path = ((docs / page).parent / link["target"]).resolve()
        if path.is_relative_to(docs):
            return link[0]
        return f"{link['text']} (`{path.relative_to(docs.parent)}`)"

    source[0] = _LINK.sub(named, source[0])
