"""The controllers of JobSet, Kueue and Kubeflow Trainer; their webhooks on loopback."""

import base64
import json
import socket
import subprocess
from pathlib import Path
from typing import Any

import yaml
from kubernetes import config as client_config

from launch.kubernetes.cluster import Cluster
from tests.control_plane import daemons, definitions
from tests.control_plane.control_plane_build import program

# A resource that a webhook is asked for; those of kinds that are not installed are left out, and
# those of every pod, which serve exclusive placement and groups of plain pods.
_RESOURCES = {
    "jobset": {"jobsets"},
    "kueue": {
        *{"jobs", "jobsets", "trainjobs"},
        *{"workloads", "clusterqueues", "cohorts", "resourceflavors"},
    },
    "trainer": {"trainjobs", "trainingruntimes", "clustertrainingruntimes"},
}
_PORTS = {"jobset": 9443, "kueue": 9444, "trainer": 9445}
# Where Kueue looks for the certificate of its metrics; no setting of it says otherwise.
_FIXED = Path("/etc/kueue/metrics/certs")
Document = dict[str, Any]


def up(folder: Path, state: Path, config: Path) -> None:
    """Starts them and registers their webhooks once they answer."""
    cluster = Cluster(client_config.new_client_from_config(config_file=str(config)))
    head = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kueue-system"}}
    cluster.post("/api/v1/namespaces", head)
    certificate = _certificate(state / "webhooks")
    # Kubeflow Trainer looks for the certificate in the folder for temporary files.
    served = state / "temporary" / "k8s-webhook-server"
    served.mkdir(parents=True)
    (served / "serving-certs").symlink_to(state / "webhooks")
    down()
    _FIXED.parent.mkdir(parents=True, exist_ok=True)
    _FIXED.symlink_to(state / "webhooks")
    for name, port in _PORTS.items():
        settings = state / f"{name}.json"
        settings.write_text(json.dumps(_settings(name, state / "webhooks")))
        flags = (f"--config={settings}", f"--kubeconfig={config}")
        temporary = f"TMPDIR={state / 'temporary'}"
        daemons.start(state, name, "env", temporary, str(program(folder, name)), *flags)
        daemons.until(lambda port=port: _answers(port), f"{name} ({state / name}.log)", 120)
        for document in _webhooks(name, certificate):
            kind = f"{document['kind'].lower()}s"
            cluster.post(f"/apis/admissionregistration.k8s.io/v1/{kind}", document)
    cluster.close()


def down() -> None:
    """Removes the one thing outside of the run's folder."""
    if _FIXED.is_symlink():
        _FIXED.unlink()


def _settings(name: str, certificates: Path) -> Document:
    port = _PORTS[name]
    common: Document = {
        "kind": "Configuration",
        "leaderElection": {"leaderElect": False},
        "webhook": {"port": port, "host": "127.0.0.1"},
        "metrics": {"bindAddress": f"127.0.0.1:{port + 100}"},
        "health": {"healthProbeBindAddress": f"127.0.0.1:{port + 200}"},
    }
    if name == "trainer":
        common["certManagement"] = {"enable": False}
        return {"apiVersion": "config.trainer.kubeflow.org/v1alpha1", **common}
    common["internalCertManagement"] = {"enable": False}
    common["webhook"]["certDir"] = str(certificates)
    if name == "jobset":
        common["metrics"]["certDir"] = str(certificates)
        return {"apiVersion": "config.jobset.x-k8s.io/v1alpha1", **common}
    common["namespace"] = "kueue-system"
    # It asks for a certificate in another fixed place; `describe` does without its answer.
    common["featureGates"] = {"VisibilityOnDemand": False}
    frameworks = ["batch/job", "jobset.x-k8s.io/jobset", "trainer.kubeflow.org/trainjob"]
    common["integrations"] = {"frameworks": frameworks}
    return {"apiVersion": "config.kueue.x-k8s.io/v1beta2", **common}


def _certificate(folder: Path) -> str:
    """Makes a certificate for loopback that is its own authority; returns it for a webhook."""
    folder.mkdir()
    made = folder / "tls.crt"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30"]
    command += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(folder / "tls.key"), "-out", str(made)]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    return base64.b64encode(made.read_bytes()).decode()


def _webhooks(name: str, certificate: str) -> list[Document]:
    """What the project of the controller publishes, with addresses for the names of Services."""
    module = definitions.MODULES[name]
    published = (definitions.fetch(module) / module.hooks).read_text()
    found = []
    for document in yaml.safe_load_all(published):
        document["metadata"] = {"name": f"{name}-{document['metadata']['name'].split('-')[0]}"}
        document["webhooks"] = [hook for hook in document["webhooks"] if _is_wanted(name, hook)]
        for hook in document["webhooks"]:
            path = hook["clientConfig"]["service"]["path"]
            url = f"https://127.0.0.1:{_PORTS[name]}{path}"
            hook["clientConfig"] = {"url": url, "caBundle": certificate}
        found.append(document)
    return found


def _is_wanted(name: str, hook: Document) -> bool:
    return any(set(rule["resources"]) & _RESOURCES[name] for rule in hook["rules"])


def _answers(port: int) -> bool:
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", port)) == 0
