"""A session on the digits, opened as a run opens it."""

from trainer.run import command_line, session

FAR = 10**9
"""A step that such a session can still make."""


def open_digits(serve: str = "resident") -> session.Session:
    """Return it; `serve` is "resident" or "stream"."""
    flags = [
        "--config=digits",
        f"--config.dataset.serve={serve}",
        f"--config.train_steps={2 * FAR}",
    ]
    request = command_line.prepare(["trainer", "--dry_run", "--strategy=cpu", *flags], {})
    return session.open_session(request)
