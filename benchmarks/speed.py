"""Steps per second against other frameworks on the same work, and what sameness costs; interleaved.

    python -m benchmarks.speed --works=mlp,mlp_dropout,cnn,resnet,jpeg,replicas,workers
        [--environments=.venv/peers] [--only=NAME,...] [--rounds=5] [--seconds=1.5]
        [--page=FILE.md]

Every contender is a process (or two) with an environment of its own. All start one after another,
warm up and wait; then each runs for a moment in turn, round by round. Shown are the median of the
rounds, their spread, the CPU time of all threads a step takes (which a busy machine changes
least), the time from process start to the end of the first step, and the peak memory after the
warm-up. `--page` writes all of it, with a drawing beside it.
"""

import argparse
import contextlib
import os
import pathlib
import tempfile

from benchmarks import page
from benchmarks.contenders import COMPARISONS, Contender, write_jpegs


def compare(
    title: str, only: list[str], environments: pathlib.Path, rounds: int, seconds: float
) -> page.Comparison:
    """Return what was measured of the contenders of a comparison."""
    work, specs = COMPARISONS[title]
    with contextlib.ExitStack() as stack:
        contenders = []
        for spec in specs:
            if not only or spec.name in only:
                contenders.append(Contender(spec, work, environments))
                stack.callback(contenders[-1].close)
        load = os.getloadavg()[0]
        for _ in range(rounds):
            for contender in contenders:
                contender.run(seconds)
        results = {contender.spec.name: contender.result() for contender in contenders}
    return page.Comparison(title, specs[-1].name, results, load)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--works", default=",".join(COMPARISONS))
    parser.add_argument("--environments", type=pathlib.Path, default=pathlib.Path(".venv/peers"))
    parser.add_argument("--only", default="", help="names of contenders; all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--page", type=pathlib.Path)
    flags = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as programs:
        os.environ |= {"JPEGS": folder, "PROGRAMS": programs}
        for title in flags.works.split(","):
            if COMPARISONS[title][0] == "jpeg":
                write_jpegs(pathlib.Path(folder))
            only = flags.only.split(",") if flags.only else []
            found.append(compare(title, only, flags.environments, flags.rounds, flags.seconds))
            print(page.table(found[-1]), flush=True)
    if flags.page:
        page.write(flags.page, found, vars(flags))


if __name__ == "__main__":
    main()
