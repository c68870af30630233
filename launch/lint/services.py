"""Services: they select pods, and their ports lead to ports of these pods."""

from collections import Counter
from collections.abc import Iterator

from launch.lint.finding import Finding, error, warning
from launch.lint.objects import Objects, namespace_of
from launch.lint.pods import Pods
from launch.lint.selectors import selected
from launch.spec.documents import Document, mapping, mappings, title

_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")


def check_services(objects: Objects) -> Iterator[Finding]:
    """All rules on ports: of Services, of monitors, of Ingresses and of probes."""
    for document in objects.documents:
        match document.get("kind"):
            case "Service":
                yield from _check_ports(objects, document)
            case "Ingress":
                yield from _check_backends(objects, document)
            case "PodMonitor":
                yield from _check_monitor(objects, document)
    for pods in objects.pods:
        yield from _check_containers(pods)


def is_headless(service: Document) -> bool:
    """Whether its name stands for the pods themselves."""
    return mapping(service, "spec").get("clusterIP") == "None"


def declared(pods: list[Pods]) -> tuple[set[str], set[int]]:
    """Names and numbers of the ports that pods declare."""
    ports = [port for one in pods for port in one.of_containers("ports")]
    names = {str(port["name"]) for port in ports if port.get("name")}
    return names, {port["containerPort"] for port in ports if "containerPort" in port}


def _check_ports(objects: Objects, service: Document) -> Iterator[Finding]:
    pods = selected(objects, service)
    names, numbers = declared(pods)
    where = f"{title(service)} spec.ports"
    ports = mappings(service, "spec", "ports")
    for index, port in enumerate(ports):
        target = port.get("targetPort", port.get("port"))
        if not pods:
            continue
        if isinstance(target, str) and target not in names:
            yield error(
                f"{where}[{index}].targetPort",
                f"no port of the pods is called {target!r}: nothing answers",
                f"name it in the container, or use one of {sorted(names)}",
            )
        elif isinstance(target, int) and numbers and target not in numbers:
            yield warning(
                f"{where}[{index}]",
                f"does not name the pods' port: {target} is none of {sorted(numbers)}",
                "use the containerPort",
            )
    taken = Counter((port.get("port"), port.get("protocol", "TCP")) for port in ports)
    labels = [port.get("name") for port in ports]
    if len(ports) > 1 and (None in labels or len(set(labels)) < len(labels)):
        yield error(where, "several ports need names of their own: it is refused", "name each")
    if any(times > 1 for times in taken.values()):
        yield error(where, "a port is there twice: it is refused", "remove one")
    if is_headless(service) and mapping(service, "spec").get("type", "ClusterIP") != "ClusterIP":
        yield error(
            f"{title(service)} spec.type",
            f"{service['spec']['type']!r} needs an address, and clusterIP is None: it is refused",
            "leave clusterIP out, or the type",
        )


def _check_backends(objects: Objects, ingress: Document) -> Iterator[Finding]:
    namespace = namespace_of(ingress)
    for i, rule in enumerate(mappings(ingress, "spec", "rules")):
        for k, path in enumerate(mappings(rule, "http", "paths")):
            backend = mapping(path, "backend", "service")
            service = objects.find("Service", namespace, str(backend.get("name")))
            port = mapping(backend, "port")
            known = mappings(service, "spec", "ports")
            fits = any(
                port.get("number") == one.get("port") or port.get("name") == one.get("name", "")
                for one in known
            )
            if service is not None and not fits:
                yield error(
                    f"{title(ingress)} spec.rules[{i}].http.paths[{k}].backend.service.port",
                    f"the Service has no port {port}: nothing answers",
                    f"use one of {[one.get('port') for one in known]}",
                )


def _check_monitor(objects: Objects, monitor: Document) -> Iterator[Finding]:
    pods = selected(objects, monitor)
    names, _ = declared(pods)
    for index, end in enumerate(mappings(monitor, "spec", "podMetricsEndpoints")):
        port = end.get("port")
        if pods and port is not None and port not in names:
            yield error(
                f"{title(monitor)} spec.podMetricsEndpoints[{index}].port",
                f"no port of the pods is called {port!r}: nothing is read",
                f"name it in the container, or use one of {sorted(names)}",
            )


def _check_containers(pods: Pods) -> Iterator[Finding]:
    for path, container in pods.containers():
        ports = mappings(container, "ports")
        names = [str(port["name"]) for port in ports if port.get("name")]
        for name, times in Counter(names).items():
            if times > 1:
                yield error(
                    pods.at(f"{path}.ports"), f"{times} ports are called {name!r}", "rename one"
                )
        for name in names:
            if len(name) > 15 or not any(map(str.isalpha, name)) or name != name.lower():
                yield error(
                    pods.at(f"{path}.ports"),
                    f"{name!r} is no name of a port: the pod is refused",
                    "use at most 15 of a-z, 0-9 and '-', with a letter",
                )
        if pods.spec.get("hostNetwork"):
            for port in ports:
                if port.get("hostPort", port.get("containerPort")) != port.get("containerPort"):
                    yield error(
                        pods.at(f"{path}.ports"),
                        f"on the host's network, hostPort {port['hostPort']} has to be the "
                        f"containerPort {port.get('containerPort')}: the pod is refused",
                        "use one number",
                    )
        yield from _check_probes(pods, path, container, names)


def _check_probes(
    pods: Pods, path: str, container: Document, names: list[str]
) -> Iterator[Finding]:
    for probe in _PROBES:
        for action in ("httpGet", "tcpSocket"):
            port = mapping(container, probe, action).get("port")
            if isinstance(port, str) and not port.isdecimal() and port not in names:
                yield error(
                    pods.at(f"{path}.{probe}.{action}.port"),
                    f"no port of the container is called {port!r}: the probe always fails",
                    f"use a number, or one of {names}",
                )
            numbers = [one.get("containerPort") for one in mappings(container, "ports")]
            if isinstance(port, int) and numbers and port not in numbers:
                yield warning(
                    pods.at(f"{path}.{probe}.{action}.port"),
                    f"{port} is none of the container's ports {numbers}",
                    "use one of them",
                )
        if probe in container and pods.trainers:
            yield warning(
                pods.at(f"{path}.{probe}"),
                "kills or hides a worker that is only busy",
                "remove it: the trainer ends by itself when it hangs",
            )
