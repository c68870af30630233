"""`doctor`, and the rights of a submitter."""

import json
from pathlib import Path

import pytest
from fake_cluster import NAMESPACE

from launch import permissions
from launch.documents import load

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
