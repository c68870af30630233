"""Service, NetworkPolicy and ConfigMap fit the workloads that depend on them."""

from collections.abc import Iterator, Sequence

from launch.lint.workload import Finding, Workload
from launch.spec.documents import Document, mapping, mappings, sequence, title

_NOT_READY = "workers wait for names that appear only when they are ready"
_NAMES = {
    "enableDNSHostnames": "the workers cannot find each other",
    "publishNotReadyAddresses": _NOT_READY,
}


def check_network(documents: Sequence[Document], found: Sequence[Workload]) -> Iterator[Finding]:
    """All rules that need more than one document."""
    for workload in found:
        if workload.pods > 1 and not workload.group and not workload.is_sweep:
            yield from _check_service(documents, workload)
        yield from _check_policy(documents, workload)
        yield from _check_config_maps(documents, workload)
        if workload.group:
            yield from _check_names(workload.document)


def _check_names(jobset: Document) -> Iterator[Finding]:
    """A JobSet makes the Service itself; these switches say how."""
    network = mapping(jobset, "spec", "network")
    for field, problem in _NAMES.items():
        if not network.get(field):
            yield Finding(f"{title(jobset)} spec.network.{field}", problem, "set it to true")


def _selects(selector: Document, workload: Workload) -> bool:
    return bool(selector) and selector.items() <= workload.pod_labels.items()


def _match_labels(peer: Document) -> Document:
    return mapping(peer, "podSelector", "matchLabels")


def _of_kind(documents: Sequence[Document], kind: str, workload: Workload) -> list[Document]:
    return [
        document
        for document in documents
        if document.get("kind") == kind
        and mapping(document, "metadata").get("namespace", "") == workload.namespace
    ]


def _check_service(documents: Sequence[Document], workload: Workload) -> Iterator[Finding]:
    services = {title(service): service for service in _of_kind(documents, "Service", workload)}
    service = services.get(f"Service/{workload.subdomain}")
    if service is None:
        yield workload.of_pod(
            "subdomain",
            f"no headless Service {workload.subdomain!r} gives the workers their names",
            "add it, in the same namespace",
        )
        return
    spec = mapping(service, "spec")
    ports = {port.get("containerPort") for port in workload.of_containers("ports")}
    faults = {
        "clusterIP": (spec.get("clusterIP") != "None", "is not headless", "use None"),
        "publishNotReadyAddresses": (
            spec.get("publishNotReadyAddresses") is not True,
            _NOT_READY,
            "set it to true",
        ),
        "selector": (
            not _selects(mapping(spec, "selector"), workload),
            "does not select the workers",
            "use the job's instance label",
        ),
        "ports": (
            not {port.get("port") for port in mappings(spec, "ports")} & ports,
            "does not name the workers' port",
            f"use one of {sorted(map(str, ports))}",
        ),
    }
    for field, (wrong, problem, fix) in faults.items():
        if wrong:
            yield Finding(f"{title(service)} spec.{field}", problem, fix)


def _check_policy(documents: Sequence[Document], workload: Workload) -> Iterator[Finding]:
    policies = [
        policy
        for policy in _of_kind(documents, "NetworkPolicy", workload)
        if _selects(_match_labels(mapping(policy, "spec")), workload)
    ]
    if not policies:
        yield workload.of_job(
            "template.metadata.labels",
            "no NetworkPolicy isolates these pods: TensorFlow's port runs what it is sent",
            "add one that selects the instance label",
        )
    for policy in policies:
        yield from _check_rules(policy, workload)


def _check_rules(policy: Document, workload: Workload) -> Iterator[Finding]:
    spec = mapping(policy, "spec")
    missing = {"Ingress", "Egress"} - set(map(str, sequence(spec, "policyTypes")))
    if missing:
        yield Finding(
            f"{title(policy)} spec.policyTypes", f"leaves {sorted(missing)} open", "name both"
        )
    peers_may_enter = False
    for index, entry in enumerate(sequence(spec, "ingress")):
        sources = mappings(entry, "from")
        where = f"{title(policy)} spec.ingress[{index}].from"
        if not sources:
            yield Finding(where, "lets everyone in", "name the pods of the same job")
        for source in sources:
            if _selects(_match_labels(source), workload) and "namespaceSelector" not in source:
                peers_may_enter = True
            elif not mapping(source, "namespaceSelector").get("matchLabels"):
                yield Finding(where, "lets in more than the same job", "use its instance label")
    if workload.pods > 1 and not workload.is_sweep and not peers_may_enter:
        yield Finding(
            f"{title(policy)} spec.ingress", "keeps the workers apart", "let the same job in"
        )
    yield from _check_egress(policy, workload)


def _check_egress(policy: Document, workload: Workload) -> Iterator[Finding]:
    rules = mappings(policy, "spec", "egress")
    ports = {port.get("port") for rule in rules for port in mappings(rule, "ports")}
    for port, purpose in ((53, "names"), (443, "storage")):
        if port not in ports:
            yield Finding(
                f"{title(policy)} spec.egress", f"closes port {port}", f"open it for {purpose}"
            )
    peers = [_match_labels(peer) for rule in rules for peer in mappings(rule, "to")]
    reach_peers = any(_selects(labels, workload) for labels in peers)
    if workload.pods > 1 and not workload.is_sweep and not reach_peers:
        yield Finding(
            f"{title(policy)} spec.egress", "keeps the workers apart", "let them reach the same job"
        )
    if any(not rule for rule in rules):
        yield Finding(f"{title(policy)} spec.egress", "lets everything out", "name the ports")


def _check_config_maps(documents: Sequence[Document], workload: Workload) -> Iterator[Finding]:
    maps = {
        str(mapping(document, "metadata").get("name")): document
        for document in _of_kind(documents, "ConfigMap", workload)
    }
    for index, volume in enumerate(workload.volumes):
        wanted = mapping(volume, "configMap")
        if not wanted:
            continue
        source = maps.get(str(wanted.get("name")))
        keys = mapping(source, "data").keys() | mapping(source, "binaryData").keys()
        if source is None:
            yield workload.of_pod(
                f"volumes[{index}].configMap",
                f"no ConfigMap {wanted.get('name')!r} comes with the job",
                "add it to the manifest",
            )
        for item in mappings(wanted, "items") if source else ():
            if item.get("key") not in keys:
                yield workload.of_pod(
                    f"volumes[{index}].configMap.items",
                    f"the ConfigMap has no key {item.get('key')!r}",
                    "add it",
                )
