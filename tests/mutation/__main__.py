"""Plants one fault after another and counts those that the tests notice.

    python -m tests.mutation [FILE ...] [--most=40] [--seed=0]
    python -m tests.mutation --patches=DIR [--only=NAME ...] [--slow] [--jobs=2]
    python -m tests.mutation --ignored [--only=NAME ...] [--jobs=2]

The first draws small faults of files. The second takes each *.patch of a folder (a unified diff).
The third makes one field or flag after another do nothing, and runs the test that tests/behaviour
names for it. Both work in private copies of the tree and go on where they were stopped; a fault
that was killed before is tried first by the test that killed it.
"""

import argparse
import concurrent.futures
import dataclasses
import functools
import hashlib
import os
import pathlib
import re
import shutil
import sys
import tempfile
from collections.abc import Sequence

from tests.behaviour import ignored
from tests.mutation import drawn, private_tree
from tests.mutation.faults import Bench, Fault, Results

ROOT = pathlib.Path(__file__).parents[2]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="*")
    parser.add_argument("--most", type=int, default=40, help="mutants of a file, drawn at random")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--patches", type=pathlib.Path, help="folder of patches")
    parser.add_argument("--ignored", action="store_true", help="fields and flags that do nothing")
    parser.add_argument("--only", nargs="*", help="names of some")
    parser.add_argument("--slow", action="store_true", help="survivors meet all other tests too")
    parser.add_argument("--jobs", type=int, default=2, help="faults at a time")
    parser.add_argument("--results", type=pathlib.Path, help="JSON file, in runs/ by default")
    options = parser.parse_args()
    if not (options.patches or options.ignored):
        drawn.run(options.files, options.most, options.seed)
        return
    made = ignored.faults() if options.ignored else patches(options.patches)
    name = "ignored" if options.ignored else options.patches.resolve().name
    results = Results(options.results or ROOT / "runs" / "mutation" / f"{name}.json")
    faults = chosen(made, options.only)
    sys.exit(judge(faults, results, slow=options.slow, jobs=options.jobs, root=ROOT))


def patches(folder: pathlib.Path) -> list[Fault]:
    """One fault for each patch of a folder."""
    return [_patch(path) for path in sorted(folder.glob("*.patch"))]


def _patch(path: pathlib.Path) -> Fault:
    text = path.read_text()
    changed = tuple(re.findall(r"^--- a/(\S+)", text, flags=re.M))
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Fault(path.stem, lambda tree: tree.apply(path), digest, changed=changed)


def chosen(faults: Sequence[Fault], only: Sequence[str] | None) -> list[Fault]:
    """The faults of those names, in their order; all where none is given."""
    named = {fault.name: fault for fault in faults}
    if unknown := set(only or ()) - named.keys():
        sys.exit(f"no such fault: {', '.join(sorted(unknown))}")
    return [named[name] for name in only or named]


def judge(
    faults: Sequence[Fault], results: Results, *, slow: bool, jobs: int, root: pathlib.Path
) -> int:
    """Print a line for each fault and the score; return 0 where every fault is killed."""
    with tempfile.TemporaryDirectory(prefix="mutation-") as folder:
        bench = Bench(root, pathlib.Path(folder))
        one = functools.partial(_line, bench, results, bench.sound.digest, slow)
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            try:
                for line in pool.map(one, faults):
                    print(line, flush=True)
            except KeyboardInterrupt:  # the threads wait for tests, maybe for minutes
                private_tree.end_all()
                shutil.rmtree(folder, ignore_errors=True)
                os._exit(130)
    found = [results.found[fault.name].verdict for fault in faults]
    tried = len(found) - found.count("error")
    errors = f", {found.count('error')} could not be tried" if "error" in found else ""
    print(f"in all: {found.count('killed')} of {tried} killed{errors} ({results.path})")
    return int(set(found) != {"killed"})


def _line(bench: Bench, results: Results, tree: str, slow: bool, fault: Fault) -> str:
    """Judge one fault, or take what was found for the same fault and tree."""
    key = f"{fault.digest[:16]} {tree[:16]} {'slow' if slow else 'fast'}"
    old = results.found.get(fault.name)
    if not (old and old.key == key and old.verdict != "error"):
        result = bench.judge(fault, first=old.test if old else "", slow=slow)
        results.put(fault.name, dataclasses.replace(result, key=key))
    return results.found[fault.name].line(fault.name)


if __name__ == "__main__":
    main()
