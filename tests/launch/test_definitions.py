"""What is rendered for kinds of others, against the definitions that their projects publish."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from launch.lint.pods import jobset_of
from launch.lint.schemas import check_schemas
from launch.render import manifest
from launch.render.examples import EXAMPLES
from launch.spec import documents
from tests.control_plane import definitions

pytestmark = pytest.mark.slow
Document = dict[str, Any]
_QUEUES = Path(__file__).parents[2] / "k8s" / "base" / "queues.yaml"
_RENDERED = [
    *documents.load(_QUEUES.read_text()),
    *(document for spec in EXAMPLES.values() for document in manifest.render(spec)),
]
_CUSTOM = [one for one in _RENDERED if one["apiVersion"].partition("/")[0] in definitions.VERSIONS]
# Kinds that are a JobSet or hold one.
_HOLDERS = [
    next(one for one in _CUSTOM if one["kind"] == kind) for kind in ("JobSet", "TrainingRuntime")
]


def faults(document: Document, defined: dict[str, Document]) -> list[str]:
    schema = definitions.schema(defined[document["kind"]])
    found = jsonschema.Draft202012Validator(schema).iter_errors(document)
    return [f"{error.json_path}: {error.message}" for error in found]


@pytest.mark.parametrize(
    "document", _CUSTOM, ids=lambda one: f"{one['kind']}-{one['metadata']['name']}"
)
def test_what_is_rendered_satisfies_the_published_definition(document, defined):
    group, _, version = document["apiVersion"].partition("/")
    spec = defined[document["kind"]]["spec"]
    assert (group, version) == (spec["group"], spec["versions"][0]["name"])
    assert faults(document, defined) == []


def _misspell(jobset: Document) -> None:
    jobset["replicatedJob"] = jobset.pop("replicatedJobs")


def _enum(jobset: Document) -> None:
    jobset["failurePolicy"]["restartStrategy"] = "Sometimes"


def _type(jobset: Document) -> None:
    jobset["replicatedJobs"][0]["replicas"] = "one"


def _inner(jobset: Document) -> None:
    jobset["replicatedJobs"][0]["template"]["spec"]["compeltions"] = 1


def _planted(holder: Document, plant: Callable[[Document], None]) -> Document:
    planted = copy.deepcopy(holder)
    plant(jobset_of(planted)[0])
    return planted


@pytest.mark.parametrize("plant", [_misspell, _enum, _type, _inner])
@pytest.mark.parametrize("holder", _HOLDERS, ids=lambda one: one["kind"])
def test_a_planted_fault_is_found(holder, plant, defined):
    assert faults(_planted(holder, plant), defined)


def test_the_linter_carries_what_is_published(defined):
    """`defined` skips where they cannot be had."""
    assert json.loads(definitions.CARRIED.read_text()) == definitions.carried()


@pytest.mark.parametrize("plant", [_misspell, _enum, _type, _inner])
@pytest.mark.parametrize("holder", _HOLDERS, ids=lambda one: one["kind"])
def test_the_linter_finds_it_too(holder, plant):
    assert list(check_schemas([_planted(holder, plant)]))
