"""The linter proven by sabotage: good manifests, one fault planted at a time, every one named."""

import ast
import copy
import importlib
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from foreign_faults import FAULTS as FOREIGN_FAULTS
from foreign_faults_more import MORE
from foreign_faults_words import WORDS
from lone_faults import GOOD, ON_EVERY_LEVEL
from lone_job_faults import HARMLESS, LONE
from plant import load, plant
from planted_faults import FAULTS
from rare_faults import OVERLAP, RARE
from trainjob_faults import TRAINJOBS

import launch.lint
from launch.lint import lint
from launch.lint.schemas import check_schemas
from launch.spec import documents

ALONE = [*ON_EVERY_LEVEL, *LONE, *RARE]
MAKERS = ("error", "warning", "style", "make")
RULES = [
    path
    for path in Path(launch.lint.__file__).parent.glob("*.py")
    if path.stem not in ("__init__", "finding", "schemas", "arguments", "examined")
]


def good(example: str) -> list[dict]:
    return OVERLAP if example == "overlap" else GOOD.get(example) or load(example)


def titles(faults: list[tuple]) -> list[str]:
    return [f"{n}-{fault[1]}-{fault[2].rpartition('.')[2]}" for n, fault in enumerate(faults)]


@pytest.mark.parametrize(
    "example", sorted({fault[0] for fault in (*FAULTS, *ON_EVERY_LEVEL, *LONE)})
)
def test_the_manifest_without_a_fault_is_clean(example):
    assert lint(good(example)) == []
    assert list(check_schemas(good(example))) == []


@pytest.mark.parametrize(("example", "kind", "path", "value", "word"), FAULTS, ids=titles(FAULTS))
def test_every_planted_fault_is_named(example, kind, path, value, word):
    planted = plant(good(example), kind, path, value)
    found = [str(one) for one in (*lint(planted), *check_schemas(planted))]
    assert any(word in one for one in found), found


@pytest.mark.parametrize(("example", "kind", "path", "value", "said"), ALONE, ids=titles(ALONE))
def test_a_fault_is_found_where_it_is(example, kind, path, value, said):
    found = [str(one) for one in lint(plant(good(example), kind, path, value))]
    assert any(said in one for one in found), found


@pytest.mark.parametrize(
    ("example", "kind", "path", "value", "said"), ON_EVERY_LEVEL, ids=titles(ON_EVERY_LEVEL)
)
def test_a_fault_of_a_pod_is_told_of_the_container_and_group_that_has_it(
    example, kind, path, value, said
):
    planted = plant(good(example), kind, path, value)
    found = next(one for one in lint(planted) if said in str(one))
    place = re.sub(r"\.(\d+)", r"[\1]", path)
    [level] = re.findall(r"^spec.*?\.template\.spec(?:\.\w*ontainers\[0\])?(?=\.)", place)
    assert f" {level}." in found.where


@pytest.mark.parametrize(("example", "kind", "path", "value"), HARMLESS, ids=titles(HARMLESS))
def test_what_is_no_fault_is_not_found(example, kind, path, value):
    planted = plant(good(example), kind, path, value)
    if path == "metadata.name":
        planted = [one for one in planted if one["kind"] != "Service"]
    assert [str(one) for one in lint(planted)] == []


def lone_pod() -> list[dict]:
    [*_, job] = good("cpu")
    return [{**job, "apiVersion": "v1", "kind": "Pod", "spec": job["spec"]["template"]["spec"]}]


def test_a_pod_that_trains_by_itself_is_found():
    assert any("is gone for good with its node" in str(one) for one in lint(lone_pod()))


def test_what_neither_the_files_nor_the_cluster_hold_is_found():
    asked = []

    def lookup(*reference: str) -> dict | None:
        asked.append(reference)
        return None

    [found] = lint(good("cpu"), lookup=lookup)
    assert asked == [("ServiceAccount", "lockstep", "trainer")]
    assert "no ServiceAccount 'trainer' in the files or in the cluster" in str(found)
    assert lint(good("cpu"), lookup=lambda *_: {}) == []
    account = {"kind": "ServiceAccount", "metadata": {"name": "trainer", "namespace": "lockstep"}}
    assert lint(good("cpu"), beside=[account], lookup=lookup) == []


def twice() -> list[dict]:
    policy, job = good("cpu")
    return [policy, job, policy]


def without_instance() -> list[dict]:
    """Pods without the label that finds them, and a policy that selects them all the same."""
    policy, job = copy.deepcopy(good("cpu"))
    labels = job["spec"]["template"]["metadata"]["labels"]
    del labels["app.kubernetes.io/instance"]
    policy["spec"]["podSelector"]["matchLabels"] = labels
    return [policy, job]


def test_a_document_that_comes_twice_is_found():
    said = "error: NetworkPolicy/cpu-smoke metadata.name: is used twice: the last one replaces"
    assert all(str(one).startswith(said) for one in lint(twice()))
    assert lint(twice())
    policy = copy.deepcopy(twice()[2])
    policy["metadata"]["namespace"] = "other"
    assert lint([*twice()[:2], policy]) == []


def test_a_pod_without_the_label_that_finds_it_is_found():
    [found] = lint(without_instance())
    assert "template.metadata.labels[app.kubernetes.io/instance]: is missing" in str(found)


def places() -> dict[tuple[str, int], tuple[str, int]]:
    """Module and line -> the call that makes a finding there: its module and first line."""
    return {
        (path.stem, line): (path.stem, node.lineno)
        for path in RULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in MAKERS
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }


@pytest.fixture
def spoke(monkeypatch) -> set[tuple[str, int]]:
    """Collects module and line of every finding that is made."""
    seen = set()

    def listening(make: Any) -> Any:
        def made(*args: str) -> Any:
            frame = sys._getframe(1)
            seen.add((Path(frame.f_code.co_filename).stem, frame.f_lineno))
            return make(*args)

        return made

    for path in RULES:
        module = importlib.import_module(f"launch.lint.{path.stem}")
        for name in MAKERS:
            if hasattr(module, name):
                monkeypatch.setattr(module, name, listening(getattr(module, name)))
    return seen


def test_every_rule_has_a_fault_that_it_finds(spoke):
    foreign = [
        row for rows in {**FOREIGN_FAULTS, **MORE, **WORDS, **TRAINJOBS}.values() for row in rows
    ]
    for manifests in (twice(), without_instance(), lone_pod()):
        lint(manifests)
    lint(good("cpu"), lookup=lambda *_: None)
    for base, kind, path, value, _ in (*ALONE, *FAULTS, *foreign):
        lint(plant(good(base), kind, path, value))
    known = places()
    assert set(known.values()) - {known.get(place) for place in spoke} == set()


ODD = [
    "",
    "a",
    "[]",
    "kind: Job",
    "apiVersion: v1",
    "{apiVersion: , kind: }",
    "kind: Job\nspec: []",
    "kind: JobSet\nspec: {replicatedJobs: [1]}",
]


@pytest.mark.parametrize("text", ODD)
def test_anything_at_all_can_be_linted(text):
    lint(documents.load(text))
    list(check_schemas(documents.load(text)))
