"""A runtime of Kubeflow Trainer is judged as what its TrainJob makes of it."""

import copy
from pathlib import Path

import pytest
from plant import DELETE, load, plant

from launch.lint import lint
from launch.lint.schemas import has_schema
from launch.spec import documents

QUEUES = documents.load((Path(__file__).parents[2] / "k8s" / "base" / "queues.yaml").read_text())


def test_both_kinds_have_a_schema():
    for kind in ("TrainJob", "TrainingRuntime"):
        assert has_schema("trainer.kubeflow.org/v1alpha1", kind)


def test_the_quota_of_the_queue_of_a_trainjob_has_to_hold_its_pods():
    assert lint(load("trainjob"), QUEUES) == []
    cpu = "spec.resourceGroups.0.flavors.0.resources.0.nominalQuota"
    [found] = lint(load("trainjob"), plant(QUEUES, "ClusterQueue", cpu, "7"))
    assert "8 for 2 pod(s), and the quota of ClusterQueue 'training' is 7" in str(found)


@pytest.mark.parametrize("names", [(), ("a", "b")], ids=["none", "several"])
def test_names_of_pods_are_open_where_it_is_not_known_which_trainjob_makes_them(names):
    *others, trainjob = load("trainjob")
    trainjobs = [copy.deepcopy(trainjob) for _ in names]
    for one, name in zip(trainjobs, names, strict=True):
        one["metadata"]["name"] = name
    assert lint([*others, *trainjobs]) == []


def test_another_name_of_the_trainjob_makes_the_addresses_of_its_runtime_wrong():
    [found] = lint(plant(load("trainjob"), "TrainJob", "metadata.name", "other"))
    assert "no pod and no Service of these files has the name 'trainjob-worker-0-0" in str(found)


def test_a_runtime_that_says_suspend_is_overruled_by_its_trainjob():
    *others, trainjob = load("trainjob")
    planted = plant(others, "TrainingRuntime", "spec.template.spec", _suspended)
    assert lint([*planted, trainjob]) == []


def _suspended(jobset: documents.Document) -> documents.Document:
    return {**jobset, "suspend": True}


def test_jobset_fills_in_the_restart_policy():
    pod = "spec.replicatedJobs.0.template.spec.template.spec"
    assert lint(plant(load("jobset_sample"), "JobSet", f"{pod}.restartPolicy", DELETE)) == []
