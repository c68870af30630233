"""A real Kubernetes control plane on this machine, built from Go modules: `up` or `down FOLDER`.

Starts etcd, kube-apiserver, kube-controller-manager and kube-scheduler on loopback: admission,
RBAC, garbage collection, the Job controller and the scheduler are real; there are no nodes. The
definitions of JobSet and Kueue are installed, their controllers are not. Needs Go and openssl; the
first build takes minutes and is kept in FOLDER.
"""

import json
import os
import secrets
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from tests.control_plane import control_plane_build, definitions


def up(folder: Path) -> None:
    """Builds what is missing, starts everything and prints how to run the suite."""
    down(folder)
    control_plane_build.build(folder)
    state = folder / f"run-{secrets.token_hex(3)}"
    state.mkdir()
    etcd, peer, api = _free_ports(3)
    _keys(state)
    _start(folder, state, "etcd", *_etcd_flags(state, etcd, peer))
    _start(folder, state, "kube-apiserver", *_api_flags(state, etcd, api))
    config = _write_config(state, api)
    _wait_ready(api)
    _define(state, api)
    common = (f"--kubeconfig={config}", "--leader-elect=false")
    keys = f"--service-account-private-key-file={state / 'account.key'}"
    manager, scheduler = _free_ports(2)
    _start(folder, state, "kube-controller-manager", *common, keys, f"--secure-port={manager}")
    _start(folder, state, "kube-scheduler", *common, f"--secure-port={scheduler}")
    print(f"KUBECONFIG={config} LOCKSTEP_CLUSTER_TESTS=1 python -m pytest tests/control_plane")


def down(folder: Path) -> None:
    """Ends what `up` started; a reused process number is left alone."""
    for record in folder.glob("run-*/*.pid"):
        number = int(record.read_text())
        command = Path(f"/proc/{number}/cmdline")
        if command.exists() and str(record.parent).encode() in command.read_bytes():
            os.kill(number, signal.SIGKILL)  # an API server without etcd would linger for a minute
        record.unlink()


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
    ]


def _start(folder: Path, state: Path, name: str, *flags: str) -> None:
    with (state / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            [str(folder / "bin" / name), *flags],
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    (state / f"{name}.pid").write_text(str(process.pid))
    process.returncode = 0  # it outlives this program on purpose


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


def _wait_ready(api: int, secs: float = 120) -> None:
    deadline = time.monotonic() + secs
    trust = ssl._create_unverified_context()  # noqa: S323 - only asks whether the port is ready
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"https://127.0.0.1:{api}/readyz", context=trust)
        except OSError:
            time.sleep(0.5)
        else:
            return
    sys.exit("the API server did not become ready; see kube-apiserver.log")


def _define(state: Path, api: int) -> None:
    """Installs the definitions of JobSet and Kueue, and says so where they cannot be had."""
    try:
        found = definitions.load()
    except definitions.UnavailableError as error:
        print(f"NOT INSTALLED: JobSet and Kueue: {error}", file=sys.stderr)
        return
    token = (state / "tokens.csv").read_text().partition(",")[0]
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    url = f"https://127.0.0.1:{api}/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    trust = ssl.create_default_context(cafile=str(state / "certs" / "apiserver.crt"))
    for definition in found.values():
        body = json.dumps(definition).encode()
        urllib.request.urlopen(urllib.request.Request(url, body, headers), context=trust)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


if __name__ == "__main__":
    {"up": up, "down": down}[sys.argv[1]](Path(sys.argv[2]).resolve())
