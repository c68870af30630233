"""Trains given ranges of steps without the loop, and prints the digest: an independent reference.

python -m tests.chaos.replay '[[0, 20], [21, 60]]' --config=tests/chaos/tiny.py ...
"""

import json
import sys


def main(ranges: list[list[int]], argv: list[str]) -> None:
    from trainer import checkpoint
    from trainer.run import command_line, session

    request = command_line.prepare(["trainer", "--dry_run", "--strategy=cpu", *argv], {})
    live = session.open_session(request)
    for first, stop in ranges:
        live.train(first, stop - first)
    print(checkpoint.digest(live.read_state(), ranges[-1][1]))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), sys.argv[2:])
