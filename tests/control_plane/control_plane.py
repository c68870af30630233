"""A real Kubernetes on this machine, built from Go modules: `up`, `test` or `down FOLDER [--node]`.

Starts etcd, kube-apiserver, kube-controller-manager and kube-scheduler on loopback: admission,
RBAC, garbage collection, the Job controller and the scheduler are real. The definitions of JobSet,
Kueue and Kubeflow Trainer are installed. `--node` adds one node, in a network namespace of its own,
with DNS, network policies, the controllers of those three and the trainer's image. Needs Go and
openssl; the first build takes long and is kept in FOLDER.
"""

import json
import secrets
import shlex
import shutil
import socket
import ssl
import subprocess
import sys
import urllib.request
from pathlib import Path

from kubernetes import config as client_config

from launch.kubernetes.cluster import Cluster
from tests.control_plane import (
    control_plane_build,
    controllers,
    daemons,
    definitions,
    images,
    network,
    node,
)
from tests.control_plane.control_plane_build import CONTROL_PLANE, NODE, program

_SUITE = ("-m", "pytest", "tests/control_plane")


def up(folder: Path) -> list[str]:
    """Builds what is missing and starts the control plane.

    Returns:
        The command that runs the suite on it.
    """
    down(folder)
    control_plane_build.build(folder, CONTROL_PLANE)
    config = _start_control_plane(folder, _new_state(folder))
    return ["env", f"KUBECONFIG={config}", "LOCKSTEP_CLUSTER_TESTS=1", sys.executable, *_SUITE]


def up_with_node(folder: Path) -> list[str]:
    """The same, with one node; ends this program where there can be none, and says why."""
    if reason := node.missing() or images.missing():
        sys.exit(f"NO CLUSTER: {reason}")
    down(folder)
    control_plane_build.build(folder, CONTROL_PLANE + NODE)
    archives = images.build(folder)  # first: inside the namespace there is no package index
    state = _new_state(folder)
    network.make()
    # Without a route to elsewhere the API server cannot choose an address to tell others.
    config = _start_control_plane(folder, state, f"--advertise-address={network.ADDRESS}")
    controllers.up(folder, state, config)
    node.up(folder, state, config)
    for archive in archives:
        node.load(state, archive)
    variables = [f"KUBECONFIG={config}", f"LOCKSTEP_NODE={state}", "LOCKSTEP_CLUSTER_TESTS=1"]
    variables += [f"LOCKSTEP_TEST_IMAGE={images.TRAINER}"]
    return [*network.inside(), "env", *variables, sys.executable, *_SUITE]


def down(folder: Path) -> None:
    """Ends what `up` started; what was built stays."""
    for state in folder.glob("run-*"):
        daemons.end(state)
        node.unmount(folder, state)
        shutil.rmtree(state)
        controllers.down()
    network.remove()


def _new_state(folder: Path) -> Path:
    state = folder / f"run-{secrets.token_hex(3)}"
    state.mkdir(parents=True)
    return state


def _start_control_plane(folder: Path, state: Path, *api_flags: str) -> Path:
    def start(name: str, *flags: str) -> None:
        daemons.start(state, name, str(program(folder, name)), *flags)

    etcd, peer, api = _free_ports(3)
    _keys(state)
    start("etcd", *_etcd_flags(state, etcd, peer))
    start("kube-apiserver", *_api_flags(state, etcd, api), *api_flags)
    config = _write_config(state, api)
    daemons.until(lambda: _is_ready(api), f"the API server ({state / 'kube-apiserver.log'})", 120)
    _define(config)
    common = (f"--kubeconfig={config}", "--leader-elect=false")
    keys = f"--service-account-private-key-file={state / 'account.key'}"
    silent = f"--node-monitor-grace-period={node.SILENT_SECS}s"
    manager, scheduler = _free_ports(2)
    start("kube-controller-manager", *common, keys, silent, f"--secure-port={manager}")
    start("kube-scheduler", *common, f"--secure-port={scheduler}")
    return config


def _keys(state: Path) -> None:
    key, public = str(state / "account.key"), str(state / "account.pub")
    for command in (
        ["genrsa", "-out", key, "2048"],
        ["rsa", "-in", key, "-pubout", "-out", public],
    ):
        subprocess.run(["openssl", *command], check=True, stderr=subprocess.DEVNULL)
    token = secrets.token_hex(16)
    (state / "tokens.csv").write_text(f'{token},admin,admin,"system:masters"\n')


def _etcd_flags(state: Path, client: int, peer: int) -> list[str]:
    return [
        f"--data-dir={state / 'etcd'}",
        f"--listen-client-urls=http://127.0.0.1:{client}",
        f"--advertise-client-urls=http://127.0.0.1:{client}",
        f"--listen-peer-urls=http://127.0.0.1:{peer}",
    ]


def _api_flags(state: Path, etcd: int, api: int) -> list[str]:
    return [
        f"--etcd-servers=http://127.0.0.1:{etcd}",
        f"--secure-port={api}",
        "--bind-address=127.0.0.1",
        f"--cert-dir={state / 'certs'}",
        "--service-cluster-ip-range=10.0.0.0/24",
        f"--service-account-key-file={state / 'account.pub'}",
        f"--service-account-signing-key-file={state / 'account.key'}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--token-auth-file={state / 'tokens.csv'}",
        "--authorization-mode=RBAC",
        "--kubelet-preferred-address-types=InternalIP",  # a node's name is in no name server
    ]


def _write_config(state: Path, api: int) -> Path:
    token = (state / "tokens.csv").read_text().partition(",")[0]
    server = {
        "server": f"https://127.0.0.1:{api}",
        "certificate-authority": str(state / "certs" / "apiserver.crt"),
    }
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "local",
        "clusters": [{"name": "local", "cluster": server}],
        "users": [{"name": "admin", "user": {"token": token}}],
        "contexts": [{"name": "local", "context": {"cluster": "local", "user": "admin"}}],
    }
    path = state / "kubeconfig"
    path.write_text(json.dumps(config))
    return path


def _is_ready(api: int) -> bool:
    trust = ssl._create_unverified_context()  # noqa: S323 - only asks whether the port is ready
    try:
        urllib.request.urlopen(f"https://127.0.0.1:{api}/readyz", context=trust)
    except OSError:
        return False
    return True


def _define(config: Path) -> None:
    """Installs the definitions, and says so where they cannot be had."""
    try:
        found = definitions.every()
    except definitions.UnavailableError as error:
        print(f"NOT INSTALLED: JobSet, Kueue and Kubeflow Trainer: {error}", file=sys.stderr)
        return
    cluster = Cluster(client_config.new_client_from_config(config_file=str(config)))
    for definition in found.values():
        cluster.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition)
    cluster.close()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def main(verb: str, folder: Path, *, with_node: bool) -> int:
    """One verb; the exit code."""
    if verb == "down":
        down(folder)
        return 0
    command = up_with_node(folder) if with_node else up(folder)
    print(shlex.join(command), flush=True)
    if verb == "up":
        return 0
    try:
        return subprocess.run(command, check=False).returncode
    finally:
        down(folder)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]).resolve(), with_node="--node" in sys.argv[3:]))
