"""`python -m trainer runs DIR`: all runs below a folder or a bucket, as a table and as a page."""

import http.server
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from common.exit_codes import ExitCode, RunError
from trainer.commands import Parser
from trainer.report import found_runs, runs_page
from trainer.storage.failures import local_io

_HOST = "127.0.0.1"


def main(args: Sequence[str]) -> None:
    """Run the command."""
    parser = Parser("runs", "Show all runs below a folder or a bucket.")
    parser.add_argument("folder", help="folder or URL")
    parser.add_argument("--html", type=Path, help="also write a page with their curves")
    parser.add_argument(
        "--serve", type=int, metavar="PORT", help=f"show that page on {_HOST}, as it is now"
    )
    flags = parser.parse_args(args)
    runs = _read(flags.folder)
    _print(runs)
    if flags.html:
        with local_io(flags.html, "--html"):
            flags.html.parent.mkdir(parents=True, exist_ok=True)
            flags.html.write_text(runs_page.render(runs), encoding="utf-8")
        print(f"page: {flags.html}")
    if flags.serve is not None:
        with make_server(flags.folder, flags.serve) as server:
            print(f"http://{_HOST}:{server.server_port} (stop with Ctrl-C)", flush=True)
            _until_interrupted(server.serve_forever)


def make_server(folder: str, port: int) -> http.server.ThreadingHTTPServer:
    """Return a server of the page on loopback; any user of this machine can read it.

    Raises:
        RunError: BAD_FLAG where the port is taken.
    """

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path != "/":
                self.send_error(404)
                return
            try:
                page = runs_page.render(_read(folder), refresh_secs=10).encode()
            except RunError as error:
                self.send_error(503, error.reason)
                return
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_: object) -> None:
            """Say nothing of each request."""

    try:
        return http.server.ThreadingHTTPServer((_HOST, port), Handler)
    except (OSError, OverflowError) as error:
        raise RunError(ExitCode.BAD_FLAG, f"runs --serve={port}: {error}; name another") from error


def _until_interrupted(serve: Callable[[], None]) -> None:
    try:
        serve()
    except KeyboardInterrupt:
        print()


def _read(folder: str) -> list[found_runs.FoundRun]:
    with tempfile.TemporaryDirectory(prefix="lockstep-") as copies:
        return found_runs.find(folder, Path(copies))


def _print(runs: Sequence[found_runs.FoundRun]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*runs_page.COLUMNS, box=None)
    for run in runs:
        table.add_row(*runs_page.cells(run))
    Console().print(table)
