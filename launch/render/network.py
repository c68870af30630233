"""Who may talk to whom: a Service that names the workers, a NetworkPolicy that isolates them."""

from launch.spec.documents import Document
from launch.spec.job import JobSpec
from launch.spec.labels import TF_PORT, TPU_PORT, metadata, selector

_METADATA_SERVER = ("169.254.169.252/32", "169.254.169.254/32")


def service(spec: JobSpec) -> Document:
    """The headless Service that gives each worker its name."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(spec),
        "spec": {
            "clusterIP": "None",
            # Workers look for each other before any of them is ready.
            "publishNotReadyAddresses": True,
            "selector": selector(spec),
            "ports": [{"name": "tensorflow", "port": TF_PORT}],
        },
    }


def policy(spec: JobSpec) -> Document:
    """Nothing may reach the workers but themselves: TensorFlow's port runs whatever it is sent."""
    metadata_server = [{"ipBlock": {"cidr": cidr}} for cidr in _METADATA_SERVER]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(spec),
        "spec": {
            "podSelector": {"matchLabels": selector(spec)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": _ingress(spec),
            "egress": [
                *_peers(spec, "to"),
                {"ports": _ports(53, protocols=("UDP", "TCP"))},  # names
                {"ports": _ports(443)},  # storage
                {"to": metadata_server, "ports": _ports(80, 988)},  # Workload Identity
                *(
                    {"to": [{"ipBlock": {"cidr": place.cidr}}], "ports": _ports(place.port)}
                    for place in spec.egress
                ),
            ],
        },
    }


def pod_monitor(spec: JobSpec) -> Document:
    """Asks the Prometheus operator to read the workers' metrics."""
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": metadata(spec),
        "spec": {
            "selector": {"matchLabels": selector(spec)},
            "podMetricsEndpoints": [{"port": "metrics"}],
        },
    }


def _ingress(spec: JobSpec) -> list[Document]:
    rules = _peers(spec, "from")
    if spec.pod_monitor:
        monitoring = {"kubernetes.io/metadata.name": "monitoring"}
        rules.append(
            {
                "from": [{"namespaceSelector": {"matchLabels": monitoring}}],
                "ports": _ports(spec.pod_monitor),
            }
        )
    return rules


def _peers(spec: JobSpec, direction: str) -> list[Document]:
    if spec.workers == 1 and not spec.multi_host_tpu:
        return []
    rule: Document = {direction: [{"podSelector": {"matchLabels": selector(spec)}}]}
    # NCCL picks its ports freely; between CPU workers one port is enough.
    if spec.kind == "cpu":
        rule["ports"] = _ports(TF_PORT)
    elif spec.kind == "tpu":
        rule["ports"] = _ports(TPU_PORT)
    return [rule]


def _ports(*ports: int, protocols: tuple[str, ...] = ("TCP",)) -> list[Document]:
    return [{"protocol": protocol, "port": port} for port in ports for protocol in protocols]
