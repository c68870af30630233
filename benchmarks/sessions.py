"""A session on the digits, opened as a run opens it."""

from trainer import __main__ as command
from trainer.cluster import strategy
from trainer.run import session

FAR = 10**9
"""A step that such a session can still make."""


def open_digits(serve: str = "resident") -> session.Session:
    """Return it; `serve` is "resident" or "stream"."""
    flags = [
        "--config=digits",
        f"--config.dataset.serve={serve}",
        f"--config.train_steps={2 * FAR}",
    ]
    request = command.prepare(["trainer", "--dry_run", *flags], {})
    placement = strategy.Placement("cpu")
    return session.open_session(request.config, request.info, request.plan, placement)
