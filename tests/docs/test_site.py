"""`make docs`: a site without warnings that needs no network, and its page of commands."""

import re
import subprocess
import sys

import pytest

from tests.docs import command_line
from tests.processes import ROOT
from tests.report import browser


def test_the_page_of_commands_is_current() -> None:
    assert (ROOT / "docs" / "reference" / "command_line.md").read_text() == command_line.page()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    flags = ("-q", "-W", "--keep-going", "-n", "-d", folder / "doctrees")
    subprocess.run([sys.executable, "-m", "sphinx", *flags, "docs", folder], cwd=ROOT, check=True)
    return folder


def test_what_a_page_needs_lies_beside_it(site) -> None:
    loaded = re.compile(r"<(?:script|link|img)\b[^>]*?\b(?:src|href)=\"([^\"]+)\"")
    for page in site.rglob("*.html"):
        for url in loaded.findall(page.read_text()):
            file = page.parent / url.partition("?")[0].partition("#")[0]
            assert file.exists(), f"{page.relative_to(site)}: {url}"


def test_every_page_can_be_searched_and_is_in_the_menu(site) -> None:
    searched, menu = (site / "searchindex.js").read_text(), (site / "index.html").read_text()
    for page in (ROOT / "docs").rglob("*.md"):
        name = str(page.relative_to(ROOT / "docs").with_suffix(""))
        assert f'"{name}"' in searched
        assert f'href="{name}.html"' in menu or name == "index" or name.startswith("adr/")


@pytest.mark.parametrize("width", [browser.WIDTH, 500])
@pytest.mark.parametrize("name", ["index", "gallery"])
def test_a_page_opens_in_a_browser_without_network(site, name, width) -> None:
    if (found := browser.find()) is None:
        pytest.skip("NOT SHOWN: no browser is installed here")
    page = site / f"{name}.html"
    shown = browser.open_page(found, page, page.with_suffix(f".{width}.png"), width)
    assert not shown.said
    assert not shown.faults
