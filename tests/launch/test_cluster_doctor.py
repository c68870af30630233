"""`doctor`, and the rights of a submitter."""

import json
from pathlib import Path

import pytest
from fake_cluster import NAMESPACE

from launch.render import permissions
from launch.spec.documents import load

BASE = Path(__file__).parents[2] / "k8s" / "base"


def test_doctor_tells_what_is_missing(cluster_backend, api):
    api.put("/version", {"minor": "31+", "gitVersion": "v1.31.2"})
    api.put("/apis", {"groups": [{"name": "jobset.x-k8s.io"}]})
    checks = {check.what: check for check in cluster_backend.doctor()}
    assert not checks["version"].ok
    assert "installed" in checks["jobset.x-k8s.io"].detail
    assert "not installed" in checks["kueue.x-k8s.io"].detail
    assert checks["permissions"].ok
    assert not checks["service account"].ok


@pytest.mark.parametrize(
    ("minor", "ok"), [("32", False), ("33", True), ("33+", True), ("9", False), ("", False)]
)
def test_doctor_takes_the_oldest_version_that_is_supported(cluster_backend, api, minor, ok):
    api.put("/version", {"minor": minor, "gitVersion": f"v1.{minor}.0"})
    api.put("/apis", {"groups": []})
    [check] = [one for one in cluster_backend.doctor() if one.what == "version"]
    assert check.ok == ok
    assert check.detail == f"v1.{minor}.0; 1.33 or newer is supported"


def test_doctor_counts_the_accelerators_of_all_nodes(cluster_backend, api):
    api.put("/version", {"minor": "34", "gitVersion": "v1.34.4"})
    api.put("/apis", {"groups": []})
    for name, has in (
        ("a", {"nvidia.com/gpu": "8"}),
        ("b", {"nvidia.com/gpu": "4", "google.com/tpu": "4"}),
        ("c", {}),
    ):
        node = {"metadata": {"name": name}, "status": {"allocatable": has}}
        api.put(f"/api/v1/nodes/{name}", node)
    [check] = [one for one in cluster_backend.doctor() if one.what == "accelerators"]
    assert check.detail == "12 gpu, 4 tpu"


def test_doctor_asks_for_rights_of_kueue_and_queues_only_where_it_is(cluster_backend, api):
    api.put("/version", {"minor": "34", "gitVersion": "v1.34.4"})
    api.denied = {("localqueues", ""), ("localqueues", "pendingworkloads"), ("jobsets", "")}
    for groups, missing in (
        ([], "all that submitting needs"),
        (
            ["kueue.x-k8s.io"],
            "missing: get localqueues, list localqueues, get localqueues/pendingworkloads",
        ),
    ):
        api.put("/apis", {"groups": [{"name": name} for name in groups]})
        checks = {check.what: check for check in cluster_backend.doctor()}
        assert checks["permissions"].detail == missing
        assert ("queues" in checks) == bool(groups)
    path = f"/apis/kueue.x-k8s.io/v1beta2/namespaces/{NAMESPACE}/localqueues"
    for names, ok, detail in (([], False, f"none in {NAMESPACE}"), (["a", "b"], True, "a, b")):
        api.put(path, {"items": [{"metadata": {"name": name}} for name in names]})
        checks = {check.what: check for check in cluster_backend.doctor()}
        assert (checks["queues"].ok, checks["queues"].detail) == (ok, detail)


def test_doctor_names_the_denied_right_with_its_subresource(cluster_backend, api):
    api.put("/version", {"minor": "34", "gitVersion": "v1.34.4"})
    api.put("/apis", {"groups": []})
    api.denied = {("pods", "log")}
    checks = {check.what: check for check in cluster_backend.doctor()}
    assert checks["permissions"].detail == "missing: get pods/log"


@pytest.mark.parametrize(
    ("account", "said"),
    [
        ({}, "no pull secret is named"),
        ({"imagePullSecrets": [{"name": "registry"}]}, "with registry; without reading Secrets"),
    ],
)
def test_doctor_says_what_can_be_known_of_pull_secrets(cluster_backend, api, account, said):
    api.put("/version", {"minor": "34", "gitVersion": "v1.34.4"})
    api.put("/apis", {"groups": []})
    api.put(f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/trainer", account)
    checks = {check.what: check for check in cluster_backend.doctor()}
    assert checks["service account"].ok
    assert said in checks["image pulls"].detail
    assert not [path for _, path, _ in api.requests if "secrets" in path]


def test_the_submitter_may_do_what_is_used_and_nothing_else():
    [role] = load((BASE / "submitter.yaml").read_text())
    granted = {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert granted == {
        (one.group, one.resource, verb) for one in permissions.ALLOWED for verb in one.verbs
    }
    text = json.dumps(role)
    for forbidden in ('"*"', '"secrets"', "exec", "escalate", "impersonate", '"bind"', "attach"):
        assert forbidden not in text
    assert role["kind"] == "Role"
