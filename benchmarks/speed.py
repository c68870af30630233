"""Steps per second against other frameworks on the same work, and what sameness costs; interleaved.

    python -m benchmarks.speed --works=mlp,cnn,resnet,transformer,towers,jpeg,replicas,workers,...
        [--environments=.venv/peers] [--only=NAME,...] [--rounds=5] [--seconds=1.5]
        [--page=FILE.md] [--json=FILE] [--gpu]

Every contender is a process (or two) with an environment of its own. All start one after another,
warm up and wait; then each runs for a moment in turn, round by round. Shown are the median of the
rounds, their spread, the CPU time of all threads a step takes (which a busy machine changes
least), the time from process start to the end of the first step, and the peak memory after the
warm-up. `--page` writes all of it, with a drawing beside it.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import pathlib
import tempfile

from benchmarks import page
from benchmarks.contenders import COMPARISONS, ON_GPU, Contender, EndedError, write_jpegs


def compare(title: str, flags: argparse.Namespace) -> page.Comparison:
    """Return what was measured of the contenders of a comparison; one that ends is left out."""
    work, specs = (ON_GPU if flags.gpu else COMPARISONS)[title]
    only = flags.only.split(",") if flags.only else []
    with contextlib.ExitStack() as stack:
        contenders = []
        for spec in specs:
            if not only or spec.name in only:
                contenders.append(Contender(spec, work, flags.environments))
                stack.callback(contenders[-1].close)
                if not flags.gpu:  # with a GPU they compile side by side, which saves minutes
                    contenders[-1].warm_up()
        if flags.gpu:
            contenders = [contender for contender in contenders if _is_warm(contender)]
        load = os.getloadavg()[0]
        for _ in range(flags.rounds):
            for contender in contenders:
                contender.run(flags.seconds)
        results = {contender.spec.name: contender.result() for contender in contenders}
    return page.Comparison(title, specs[-1].name, results, load)


def _is_warm(contender: Contender) -> bool:
    try:
        contender.warm_up()
    except EndedError as ended:
        print(f"left out: {ended}", flush=True)
        return False
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--gpu", action="store_true", help="compare on the GPU of this machine")
    parser.add_argument("--works", default="", help="titles of comparisons; all")
    parser.add_argument("--environments", type=pathlib.Path, default=pathlib.Path(".venv/peers"))
    parser.add_argument("--only", default="", help="names of contenders; all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--page", type=pathlib.Path)
    parser.add_argument("--json", type=pathlib.Path, help="written anew after each comparison")
    flags = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as programs:
        os.environ |= {"JPEGS": folder, "PROGRAMS": programs}
        titles = flags.works.split(",") if flags.works else ON_GPU if flags.gpu else COMPARISONS
        for title in titles:
            if title == "jpeg":
                write_jpegs(pathlib.Path(folder))
            found.append(compare(title, flags))
            print(page.table(found[-1]), flush=True)
            if flags.json:
                flags.json.write_text(json.dumps([dataclasses.asdict(f) for f in found], indent=1))
    if flags.page:
        page.write(flags.page, found, vars(flags))


if __name__ == "__main__":
    main()
