"""Opens a page in a real browser that has no network.

`python -m tests.template.browser PAGE PICTURE` takes the picture that the docs show.
"""

import pathlib
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


def find() -> str | None:
    """Return a browser, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def open_page(browser: str, page: pathlib.Path, picture: pathlib.Path) -> tuple[str, str]:
    """Return what the page became in the browser, and what the page said on its console."""
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    flags += ["--hide-scrollbars", "--window-size=1000,1320", f"--screenshot={picture}"]
    flags += ["--host-resolver-rules=MAP * ~NOTFOUND", "--dump-dom", "--enable-logging=stderr"]
    shown = subprocess.run(
        [browser, *flags, page.resolve().as_uri()],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    said = [line for line in shown.stderr.splitlines() if "CONSOLE" in line]
    return shown.stdout, "\n".join(said)


if __name__ == "__main__":
    found = find()
    if found is None:
        sys.exit(f"no browser: none of {', '.join(NAMES)} is installed here")
    open_page(found, pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
