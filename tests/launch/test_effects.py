"""Each field of a job: the whole difference that it makes to the manifest, and nothing besides."""

import dataclasses

import effects
import pytest
import yaml

from launch.lint import lint
from launch.lint.schemas import check_schemas
from launch.render import manifest
from launch.spec.job import JobSpec

WRITTEN = yaml.safe_load(effects.GOLDEN.read_text(encoding="utf-8"))


def test_every_field_of_a_job_has_a_row():
    shown = {field for _, fields in effects.CHANGES.values() for field in fields}
    # Halving is refused on a cluster.
    assert shown == {field.name for field in dataclasses.fields(JobSpec)} - {"halving"}


def test_every_row_is_written_down_and_changes_something():
    assert list(WRITTEN) == list(effects.CHANGES)
    assert all(WRITTEN.values())


@pytest.mark.parametrize("title", effects.CHANGES)
def test_a_field_changes_what_is_written_down_and_nothing_else(title):
    assert effects.effect(title) == WRITTEN[title], "run `python -m tests.launch.effects`"


@pytest.mark.parametrize("title", effects.CHANGES)
def test_no_field_makes_a_faulty_manifest(title):
    rendered = manifest.render(effects.changed(title))
    # The rows of `args` ask for a strategy that is not that of their hardware, and are told so.
    assert [one for one in lint(rendered) if "--strategy=mirrored" not in one.problem] == []
    if "added" in WRITTEN[title]:
        assert list(check_schemas(rendered)) == []


def test_what_the_pods_need_is_made_before_them():
    kinds = [document["kind"] for document in manifest.render(effects.BASES["all documents"])]
    before = ["ServiceAccount", "NetworkPolicy", "ConfigMap", "PodMonitor", "Service"]
    assert kinds == [*before, "Job"]
