"""Opens a page in a real browser that has no network."""

import dataclasses
import html
import pathlib
import re
import shutil
import subprocess

from PIL import Image, ImageChops

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
WIDTH, _HEIGHT = 1080, 4000
_LOOK = """<script>
const faults = [];
for (const text of document.querySelectorAll("svg text")) {
  const inner = text.getBoundingClientRect();
  const outer = text.closest("svg").getBoundingClientRect();
  if (inner.left < outer.left - 1 || inner.right > outer.right + 1)
    faults.push("cut off: " + text.textContent);
}
for (const image of document.images) if (!image.naturalWidth) faults.push("no image");
if (document.documentElement.scrollWidth > innerWidth) faults.push("wider than the window");
document.body.dataset.faults = faults.join("; ");
</script>"""


@dataclasses.dataclass(frozen=True)
class Shown:
    """What a page became.

    Attributes:
        document: its elements, as the browser made them.
        said: what it said on the browser's console.
        faults: what a reader would see is wrong.
    """

    document: str
    said: str
    faults: list[str]


def find() -> str | None:
    """Return a browser that starts, or None."""
    return next(filter(_starts, filter(None, map(shutil.which, NAMES))), None)


def _starts(browser: str) -> bool:
    """Whether it is one: Ubuntu puts a program in its place that only says what to install."""
    asked = subprocess.run([browser, "--version"], capture_output=True, check=False, timeout=60)
    return asked.returncode == 0


def open_page(browser: str, page: pathlib.Path, picture: pathlib.Path, width: int = WIDTH) -> Shown:
    """Open a page, look at it, and take a picture of all of it."""
    watched = picture.with_suffix(".watched.html")
    watched.write_text(page.read_text() + _LOOK)
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    flags += ["--hide-scrollbars", f"--window-size={width},{_HEIGHT}", f"--screenshot={picture}"]
    flags += ["--host-resolver-rules=MAP * ~NOTFOUND", "--dump-dom", "--enable-logging=stderr"]
    shown = subprocess.run(
        [browser, *flags, watched.resolve().as_uri()],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    _cut_blank(picture)
    said = [line for line in shown.stderr.splitlines() if "CONSOLE" in line]
    (faults,) = re.findall(r'data-faults="([^"]*)"', shown.stdout)
    found = html.unescape(faults).split("; ") if faults else []
    return Shown(shown.stdout, "\n".join(said), found)


def _cut_blank(picture: pathlib.Path) -> None:
    """Cut off the window below the page."""
    with Image.open(picture) as opened:
        image = opened.convert("RGB")
    blank = Image.new("RGB", image.size, image.getpixel((0, image.height - 1)))
    *_, bottom = ImageChops.difference(image, blank).getbbox() or (0, 0, 0, image.height)
    image.crop((0, 0, image.width, min(image.height, bottom + 24))).save(picture, optimize=True)
