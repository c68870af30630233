"""The linter proven by sabotage: good manifests, one fault planted at a time, every one named."""

import copy
import dataclasses
from typing import Any

import pytest
from planted_faults import DELETE, FAULTS

from launch import documents, manifest
from launch.examples import EXAMPLES
from launch.lint import lint
from launch.lint.schemas import check_schemas
from launch.spec import CodeBundle, Mount

BAD = {
    "code": dataclasses.replace(
        EXAMPLES["cpu-smoke"], code=CodeBundle("ab" * 32, (("a.py", b"x"),))
    ),
    "bucket": dataclasses.replace(EXAMPLES["cpu-smoke"], mounts=(Mount("gcs", "bucket", "/data"),)),
}


def good(example: str) -> list[dict]:
    spec = BAD.get(example) or EXAMPLES[example]
    return manifest.render(spec)


def plant(manifests: list[dict], kind: str, path: str, value: Any) -> list[dict]:
    planted = copy.deepcopy(manifests)
    [document] = [one for one in planted if one["kind"] == kind]
    *parents, last = path.split(".")
    place: Any = document
    for key in parents:
        place = place[int(key)] if isinstance(place, list) else place[key]
    if isinstance(place, list):
        last = int(last)
    before = copy.deepcopy(place)
    if value is DELETE:
        del place[last]
    elif callable(value):
        place[last] = value(place[last])
    else:
        place[last] = value
    assert place != before, "the fault changes nothing"
    return planted


def test_there_are_enough_faults():
    assert len(FAULTS) >= 100


@pytest.mark.parametrize("example", sorted({fault[0] for fault in FAULTS}))
def test_the_manifest_without_a_fault_is_clean(example):
    assert lint(good(example)) == []
    assert list(check_schemas(good(example))) == []


@pytest.mark.parametrize(
    ("example", "kind", "path", "value", "word"),
    FAULTS,
    ids=[f"{n}-{fault[1]}-{fault[2].rpartition('.')[2]}" for n, fault in enumerate(FAULTS)],
)
def test_every_planted_fault_is_named(example, kind, path, value, word):
    planted = plant(good(example), kind, path, value)
    found = [str(one) for one in (*lint(planted), *check_schemas(planted))]
    assert any(word in one for one in found), found


ODD = [
    "",
    "a",
    "[]",
    "kind: Job",
    "kind: Job\nspec: []",
    "kind: JobSet\nspec: {replicatedJobs: [1]}",
]


@pytest.mark.parametrize("text", ODD)
def test_anything_at_all_can_be_linted(text):
    lint(documents.load(text))
