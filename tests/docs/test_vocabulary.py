"""One word for one thing: no name and no text uses a word that the glossary retired.

A word is retired where it was used here for something that has a standard name. Other meanings of
the same word stay allowed: each is a reason in the table.
"""

import dataclasses
import pathlib
import re

import pytest

from tests.processes import ROOT

PLACES = ("trainer", "launch", "common", "docs", "tests", "benchmarks", "examples", "k8s")
KINDS = {".py", ".md", ".yaml", ".toml", ".sh"}
USERS = "part|step|loss|optimizer|regularizer|metric|model|code|file|experiment|function|array|data"

NOT_OWNED = r"(?<!(?<![a-z])its[_ ])(?<!'s )(?<!our )(?<!heir )"


@dataclasses.dataclass(frozen=True)
class Retired:
    """A word that is not used.

    Attributes:
        word: as the glossary lists it.
        instead: the word that is used.
        pattern: a regular expression, tried on every path and line, in any case.
        allowed: path -> why the word means something else there.
        unless: a regular expression; a file that holds it means something else.
    """

    word: str
    instead: str
    pattern: str
    allowed: dict[str, str] = dataclasses.field(default_factory=dict)
    unless: str = r"(?!)"


def name(word: str) -> str:
    """Return a pattern for a word that stands alone or within a name such as `num_lanes`."""
    return rf"(?<![a-z]){word}(?![a-z])"


TABLE = (
    Retired("lane", "microbatch, virtual replica", name("lanes?")),
    Retired("micro-batch", "microbatch", name("micro[-_ ]batch(es)?")),
    Retired(
        "edge", "boundary", name("edges?"),
        {
            "trainer/data/augment/mixup.py": "of the cells of a table",
            "tests/supply_chain/sbom.py": "of the graph of dependencies",
            "tests/supply_chain/test_sbom.py": "of the graph of dependencies",
        },
    ),
    Retired(
        "feed", "input pipeline", rf"(?<!\.){name('feeds?')}",
        {
            "trainer/optimizers/plateau.py": "the verb",
            "tests/parts/test_plateau.py": "the verb",
        },
    ),
    Retired(
        "patience", "retry budget", r"patien(ce|tly)",
        unless=r"plateau|stop\.patience|StopConfig",  # where it is a field of the config
    ),
    Retired("contradictions", "placement", name("contradictions?")),
    Retired("agreement", "consensus", name("agreements?")),
    Retired("plain secrets", "redaction", name("plain[-_ ]secrets?")),
    Retired("shipping", "code upload", name("shipping")),
    Retired("watch", "monitoring", r"trainer[./]watch\b|(?<![\w.])watch/"),
    Retired("generated", "synthetic", r"trainer[./]generated\b|generated (data|text|rows)"),
    # "The user's own files" is plain English, and so is "a folder of its own".
    Retired(
        "own part", "custom part",
        rf"(?<![a-z]){NOT_OWNED}own[_ ]({USERS})(s|es)?(?![a-z])|\bis_own\b|\ban own\b",
    ),
    Retired("snapshot", "checkpoint", name("snapshots?")),
    Retired(
        "master", "chief", name("master"),
        {
            "launch/lint/addresses.py": "the variables that PyTorch reads",
            "launch/lint/clusters.py": "the variables that PyTorch reads",
            "tests/launch/foreign_faults_words.py": "the variables that PyTorch reads",
            "launch/spec/tfjob.py": "a role of a TFJob, as its users wrote it",
        },
    ),
)  # fmt: skip


def text_of(path: pathlib.Path) -> str:
    """Return what is read of a file: the glossary itself lists the retired words."""
    text = path.read_text()
    return text.partition("\n## Glossary\n")[0] if path.name == "architecture.md" else text


FILES = {
    str(path.relative_to(ROOT)): text_of(path)
    for place in PLACES
    for path in sorted((ROOT / place).rglob("*"))
    if path.suffix in KINDS and path != pathlib.Path(__file__)
} | {
    # The changelog tells how to follow from the old words.
    path.name: text_of(path)
    for path in sorted(ROOT.glob("*.md"))
    if path.name != "CHANGELOG.md"
}


def uses(retired: Retired, files: dict[str, str]) -> list[str]:
    """Return `path:line: text` of every use; line 0 is the path itself."""
    found = []
    for path, text in files.items():
        if path in retired.allowed or re.search(retired.unless, text):
            continue
        for number, line in enumerate([path, *text.splitlines()]):
            if re.search(retired.pattern, line, flags=re.IGNORECASE):
                found.append(f"{path}:{number}: {line.strip()}")
    return found


@pytest.mark.parametrize("retired", TABLE, ids=lambda r: f"{r.word} -> {r.instead}")
def test_a_retired_word_is_not_used(retired: Retired) -> None:
    assert uses(retired, FILES) == []


@pytest.mark.parametrize(
    "line",
    [
        "num_lanes = 4", "each lane", "class Lane:", "micro-batches", "run/edges.py", "the feed",
        "PATIENCE_SECS", "patiently", "contradictions", "trainer.cluster.agreement",
        "plain_secrets", "import shipping", "trainer/watch/stop.py", "trainer.generated.grammar",
        "own_parts", "digits_own_parts", "own loss", "an own metric", "test_own_step", "is_own",
        "snapshot", "master",
    ],
)  # fmt: skip
def test_a_use_is_found(line: str) -> None:
    assert any(uses(retired, {"a.py": line}) for retired in TABLE)
    assert any(uses(retired, {line: ""}) for retired in TABLE)


@pytest.mark.parametrize(
    "line",
    [
        "planes",
        "explanes_x",
        "parser.feed(text)",
        "watchdog",
        "tape.watch(x)",
        "its own files",
        "Python's own code",
    ],
)  # fmt: skip
def test_another_word_is_not(line: str) -> None:
    assert not any(uses(retired, {"a.py": line}) for retired in TABLE)


@pytest.mark.parametrize("path", sorted({path for retired in TABLE for path in retired.allowed}))
def test_an_exception_is_still_needed(path: str) -> None:
    rules = [r for r in TABLE if path in r.allowed]
    for rule in rules:
        assert uses(dataclasses.replace(rule, allowed={}), {path: FILES[path]})


def test_the_glossary_has_each_word_once_and_lists_the_retired_ones() -> None:
    glossary = (ROOT / "docs" / "architecture.md").read_text().partition("\n## Glossary\n")[2]
    rows = re.findall(r"^\| ([\w ]+) \| (.+) \| ([^|]+) \|$", glossary, flags=re.MULTILINE)
    words = [word for word, _, _ in rows if word != "word"]
    retired = {word for _, _, others in rows for word in others.split(", ")}
    assert len(words) == len(set(words)) > 40
    assert {rule.word for rule in TABLE} <= retired
    assert {word for rule in TABLE for word in rule.instead.split(", ")} <= set(words)
