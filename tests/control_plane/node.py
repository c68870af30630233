"""One real node: containerd, runc and a kubelet, with DNS and an enforcer of network policies.

It needs root on Linux and Debian's containerd, runc, containernetworking-plugins, iptables and
ipset; no systemd.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

from kubernetes import config as client_config

from launch.kubernetes.cluster import Cluster
from tests.control_plane import daemons, network
from tests.control_plane.control_plane_build import program

NAME = "node"
PAUSE = "localhost/pause:1"
_NEEDED = ("containerd", "runc", "ctr", "ip", "iptables", "ipset", "nsenter")
_PLUGINS = Path("/usr/lib/cni")
_DEBIAN = "apt-get install containerd runc containernetworking-plugins iptables ipset iproute2"
# The kubelet's report and the time after which a silent node is not ready; Kubernetes' own are
# 10 and 50 s.
_REPORT_SECS = 2
SILENT_SECS = 10


def missing() -> str:
    """Why there can be no node here, or ""."""
    if os.geteuid() != 0:
        return "a node needs root"
    absent = [name for name in _NEEDED if shutil.which(name) is None]
    if not (_PLUGINS / "bridge").exists():
        absent.append(f"{_PLUGINS}/bridge")
    if absent:
        return f"a node needs {', '.join(absent)}: {_DEBIAN}"
    if "overlay" not in Path("/proc/filesystems").read_text():
        return "a node needs overlayfs, which this kernel does not have"
    return ""


def up(folder: Path, state: Path, config: Path) -> None:
    """Starts the node; the control plane is there. Returns when the node is ready."""
    _write_files(folder, state, config)
    daemons.start(state, "containerd", "containerd", "-c", str(state / "containerd.toml"))
    daemons.until(lambda: not _ctr(state, "version").returncode, "containerd")
    dns = str(program(folder, "coredns"))
    daemons.start(state, "coredns", dns, "-conf", str(state / "Corefile"))
    _start_kubelet(folder, state)
    cluster = Cluster(client_config.new_client_from_config(config_file=str(config)))
    daemons.until(lambda: is_ready(cluster), f"the node ({state / 'kubelet.log'})", 120)
    cluster.close()
    # It asks for the node at its start, and ends where there is none.
    firewall = ["--run-firewall=true", "--run-router=false", "--run-service-proxy=false"]
    firewall += ["--service-cluster-ip-range=10.0.0.0/24", "--health-port=0"]
    firewall += [f"--kubeconfig={config}", f"--hostname-override={NAME}"]
    daemons.start(state, "kube-router", str(program(folder, "kube-router")), *firewall)


def is_ready(cluster: Cluster) -> bool:
    """Whether a node of the cluster says that it is."""
    conditions = [
        condition
        for node in cluster.items("/api/v1/nodes")
        for condition in node["status"].get("conditions", [])
    ]
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def load(state: Path, archive: Path) -> None:
    """Hands containerd the images of an archive."""
    done = _ctr(state, "--namespace=k8s.io", "images", "import", str(archive))
    if done.returncode:
        raise RuntimeError(f"{archive}: {done.stderr}")


def unmount(*folders: Path) -> None:
    """Unmounts what pods that have ended left mounted."""
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for mount in reversed(mounts):
        if mount.startswith(tuple(f"{folder}/" for folder in folders)):
            subprocess.run(["umount", "--lazy", mount], check=False)


def _start_kubelet(folder: Path, state: Path) -> None:
    daemons.start(
        state,
        "kubelet",
        str(program(folder, "kubelet")),
        f"--config={state / 'kubelet.json'}",
        f"--kubeconfig={state / 'kubeconfig'}",
        f"--root-dir={state / 'kubelet'}",
        f"--cert-dir={state / 'kubelet-certs'}",
        f"--hostname-override={NAME}",
        f"--node-ip={network.ADDRESS}",
    )


def _ctr(state: Path, *words: str) -> subprocess.CompletedProcess[str]:
    socket = f"--address={state / 'containerd' / 'containerd.sock'}"
    return subprocess.run(["ctr", socket, *words], capture_output=True, text=True, check=False)


def _write_files(folder: Path, state: Path, config: Path) -> None:
    (state / "containerd").mkdir()
    (state / "containerd.toml").write_text(_containerd(folder, state))
    (state / "cni").mkdir()
    (state / "cni" / "pods.conflist").write_text(json.dumps(_pod_network(state)))
    (state / "kubelet.json").write_text(json.dumps(_kubelet(state)))
    (state / "resolv.conf").write_text(f"nameserver {network.ADDRESS}\n")
    (state / "Corefile").write_text(
        f".:53 {{\n  bind {network.ADDRESS}\n  errors\n"
        f"  kubernetes cluster.local {{\n    kubeconfig {config} local\n    ttl 5\n  }}\n}}\n"
    )


def _containerd(folder: Path, state: Path) -> str:
    """Images are kept in FOLDER from run to run; pods are not."""
    cri = '[plugins."io.containerd.grpc.v1.cri"'
    return f"""version = 2
root = "{folder / "containerd"}"
state = "{state / "containerd"}"
[grpc]
address = "{state / "containerd" / "containerd.sock"}"
{cri}]
sandbox_image = "{PAUSE}"
restrict_oom_score_adj = true # root without CAP_SYS_RESOURCE may not lower it
netns_mounts_under_state_dir = true
{cri}.cni]
bin_dir = "{_PLUGINS}"
conf_dir = "{state / "cni"}"
{cri}.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
{cri}.containerd.runtimes.runc.options]
SystemdCgroup = false
[plugins."io.containerd.internal.v1.opt"]
path = "{folder / "containerd" / "opt"}"
"""


def _pod_network(state: Path) -> dict[str, object]:
    addresses = {"type": "host-local", "dataDir": str(state / "addresses")}
    addresses["ranges"] = [[{"subnet": network.PODS, "rangeStart": "10.211.0.10"}]]
    addresses["routes"] = [{"dst": "0.0.0.0/0"}]
    bridge = {"type": "bridge", "bridge": network.BRIDGE, "isGateway": True, "ipam": addresses}
    return {"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge]}


def _kubelet(state: Path) -> dict[str, object]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": network.ADDRESS,
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},  # only the pods of this machine reach it
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": False,
        "failSwapOn": False,
        "enforceNodeAllocatable": ["none"],
        "containerRuntimeEndpoint": f"unix://{state / 'containerd' / 'containerd.sock'}",
        "clusterDNS": [network.ADDRESS],
        "clusterDomain": "cluster.local",
        "resolvConf": str(state / "resolv.conf"),
        "podLogsDir": str(state / "pod-logs"),
        "nodeStatusUpdateFrequency": f"{_REPORT_SECS}s",
        "nodeLeaseDurationSeconds": SILENT_SECS,
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "200Mi", "nodefs.available": "2%"},
        "makeIPTablesUtilChains": False,
        "healthzPort": 0,
    }
