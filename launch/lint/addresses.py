"""Addresses: every host and port in variables and arguments, and the pods or Service it names."""

import dataclasses
import re
from collections.abc import Iterator
from typing import Any

from common.cluster_description import VARIABLE
from launch.lint import commands
from launch.lint.finding import Finding, error, warning
from launch.lint.objects import Objects, name_of, namespace_of, same_namespace
from launch.lint.pods import Pods
from launch.lint.selectors import selected
from launch.lint.services import declared, is_headless
from launch.lint.slips import did_you_mean
from launch.spec.documents import Document, mapping, mappings, title

_ADDRESS = re.compile(r"(?<![\w.@/-])(?:\w+://)?([a-z0-9](?:[a-z0-9.-]*[a-z0-9])?):(\d{1,5})\b")
# Texts that hold addresses of peers: whatever they name has to be there.
_PEERS = {VARIABLE, "tpu", "rdzv_endpoint", "rdzv-endpoint", "master_addr"}
_HOSTS = {"MASTER_ADDR", "master_addr", "COORDINATOR_ADDRESS", "TPU_WORKER_HOSTNAMES"}


@dataclasses.dataclass(frozen=True, eq=False)
class Address:
    """One address that a container is given.

    Attributes:
        pods: those that are given it.
        where: the field.
        host: without the port.
        port: or None where none is given.
        is_peer: whether a member of the same run has to be there.
    """

    pods: Pods
    where: str
    host: str
    port: int | None
    is_peer: bool


@dataclasses.dataclass(frozen=True, eq=False)
class Link:
    """Pods that call other pods: what a network policy has to let through."""

    address: Address
    target: Pods
    port: int | None


def addresses(pods: Pods) -> Iterator[Address]:
    """Every address in the variables and arguments of pods."""
    for path, container in pods.containers():
        values = commands.known_values(container)
        for index, variable in enumerate(mappings(container, "env")):
            name = str(variable.get("name"))
            where = pods.at(f"{path}.env[{name if name == VARIABLE else index}]")
            yield from _in_text(pods, where, name, values.get(name, ""))
    for program in pods.programs:
        for word, where in zip(program.words, program.wheres, strict=True):
            flag, _, value = word.partition("=")
            yield from _in_text(pods, pods.at(where), flag.lstrip("-"), value or word)


def _in_text(pods: Pods, where: str, name: str, text: str) -> Iterator[Address]:
    is_peer = name in _PEERS or name in _HOSTS
    found = [] if "\n" in text else _ADDRESS.findall(text)
    for host, port in found:
        yield Address(pods, where, host, int(port), is_peer)
    if name in _HOSTS and not found:
        for host in filter(None, text.split(",")):
            yield Address(pods, where, host, None, is_peer)


class Names:
    """The names that the cluster's DNS will know for the objects of the files."""

    def __init__(self, objects: Objects) -> None:
        self.objects = objects
        self.hosts: dict[str, Pods] = {}
        for pods in objects.all_pods:
            for host in pods.hosts:
                if pods.subdomain:
                    self._add(self.hosts, f"{host}.{pods.subdomain}", pods.namespace, pods)
                elif pods.kind.endswith("Job") and pods.kind != "Job":
                    self._add(self.hosts, host, pods.namespace, pods)
        self.subdomains = {pods.subdomain for pods in objects.all_pods if pods.subdomain}
        self.services: dict[str, Document] = {}
        for service in objects.of_kind("Service"):
            self._add(self.services, name_of(service), namespace_of(service), service)

    @staticmethod
    def _add(known: dict[str, Any], name: str, namespace: str, bearer: object) -> None:
        """A name, and the name with the namespace that all others have to write."""
        known[name] = bearer
        if namespace:
            known[f"{name}.{namespace}"] = bearer

    def short(self, host: str) -> str:
        """The name without what every name of the cluster may end with."""
        name = host.removesuffix(".cluster.local").removesuffix(".svc")
        head = name.rpartition(".")[0]
        if name in self.hosts or name in self.services or not head:
            return name
        bearer = self.hosts.get(head) or self.services.get(head)
        given = bearer.namespace if isinstance(bearer, Pods) else namespace_of(bearer or {})
        return name if given or bearer is None else head  # kubectl chooses the namespace

    def is_meant(self, name: str) -> bool:
        """Whether a name that nobody bears was meant to be one of these."""
        known = [*self.hosts, *self.services]
        head, _, below = name.partition(".")
        return (
            below in self.subdomains
            or (bool(head) and below in self.services)
            or ("." in name and name.rpartition(".")[0] in self.hosts)
            or bool(did_you_mean(name, known))
        )


def check_addresses(objects: Objects) -> Iterator[Finding]:
    """Every address that names no pod and no Service, or another port than theirs."""
    names = Names(objects)
    for pods in objects.pods:
        seen: set[str] = set()
        for one in addresses(pods):
            for finding in _check_address(names, one):
                # One finding for a text and for an address is enough.
                if not {finding.where, one.host} & seen:
                    yield finding
                seen |= {finding.where, one.host}
        yield from _check_subdomain(names, pods)
        yield from _check_dns_policy(names, pods)


def links(objects: Objects) -> Iterator[Link]:
    """Which pods call which: from their addresses."""
    names = Names(objects)
    for pods in objects.pods:
        for one in addresses(pods):
            short = names.short(one.host)
            if short in names.hosts:
                yield Link(one, names.hosts[short], one.port)
            elif short in names.services:
                for target in selected(objects, names.services[short]):
                    yield Link(one, target, _behind(names.services[short], one.port, target))


def _behind(service: Document, port: int | None, pods: Pods) -> int | None:
    """The port of the pods to which a port of a Service leads; None where it is not told."""
    for one in mappings(service, "spec", "ports"):
        if one.get("port") == port:
            target = one.get("targetPort", port)
            return target if isinstance(target, int) else pods.named_ports.get(target)
    return port


def _check_address(names: Names, one: Address) -> Iterator[Finding]:
    short = names.short(one.host)
    if target := names.hosts.get(short):
        yield from _check_port_of_pods(one, target)
    elif service := names.services.get(short):
        yield from _check_port_of_service(one, service)
    elif one.is_peer and one.pods.is_template:
        return  # its TrainJob, which is elsewhere, gives the names
    elif names.is_meant(short) or (one.is_peer and one.pods.is_ours):
        known = [*names.hosts, *names.services]
        example = next((f"for example {host}" for host in names.hosts), "see the names of the pods")
        host, _, below = short.partition(".")
        nameless = [pods for pods in names.objects.all_pods if host in pods.hosts and below]
        if nameless and nameless[0].subdomain != below:
            place = nameless[0].at("subdomain")
            example = f"{place} is {nameless[0].subdomain!r}; write {below!r} there"
        yield error(
            one.where,
            f"no pod and no Service of these files has the name {one.host!r}",
            did_you_mean(short, known) or example,
        )


def _check_port_of_pods(one: Address, target: Pods) -> Iterator[Finding]:
    _, numbers = declared([target])
    if one.port is not None and numbers and one.port not in numbers:
        yield error(
            one.where,
            f"{one.host}:{one.port} is not a port of {title(target.document)}, which declares "
            f"{sorted(numbers)}",
            "use the containerPort",
        )


def _check_port_of_service(one: Address, service: Document) -> Iterator[Finding]:
    ports = [port.get("port") for port in mappings(service, "spec", "ports")]
    if one.port is not None and one.port not in ports and not is_headless(service):
        yield error(
            one.where,
            f"{title(service)} has no port {one.port}: nothing answers",
            f"use one of {ports}",
        )


def _check_subdomain(names: Names, pods: Pods) -> Iterator[Finding]:
    """The names of pods come from a headless Service of the name of their subdomain."""
    made_by_jobset = pods.kind == "Job" and bool(pods.group)
    if made_by_jobset or not (pods.subdomain and pods.hosts):
        return
    if not any(names.hosts.get(names.short(one.host)) is pods for one in addresses(pods)):
        return  # none of them calls another
    service = names.services.get(pods.subdomain)
    where = pods.at("subdomain")
    if service is None or not same_namespace(namespace_of(service), pods.namespace):
        yield error(
            where,
            f"no headless Service {pods.subdomain!r} gives the workers their names",
            "add it, in the same namespace",
        )
        return
    at = title(service)
    if not is_headless(service):
        yield error(f"{at} spec.clusterIP", "is not headless: the pods get no names", "write None")
    selector = mapping(service, "spec", "selector")
    if not selector or not selector.items() <= pods.labels.items():
        yield error(
            f"{at} spec.selector", "does not select the workers", "use labels of their template"
        )
    waits = pods.is_ours or "readinessProbe" in str(pods.spec)
    if mapping(service, "spec").get("publishNotReadyAddresses") is not True and waits:
        yield warning(
            f"{at} spec.publishNotReadyAddresses",
            "workers wait for names that appear only when they are ready",
            "set it to true",
        )


def _check_dns_policy(names: Names, pods: Pods) -> Iterator[Finding]:
    policy = pods.spec.get("dnsPolicy", "ClusterFirst")
    if not pods.spec.get("hostNetwork") or policy != "ClusterFirst":
        return
    called = [one.host for one in addresses(pods)]
    inside = [host for host in called if names.short(host) in names.hosts]
    if not inside and not pods.kind.endswith("Job"):
        return  # it may have no use for names of the cluster
    make = error if inside else warning
    yield make(
        pods.at("dnsPolicy"),
        f"{policy!r} on the host's network asks the node's resolver, which knows no name of the "
        f"cluster{', for example ' + inside[0] if inside else ''}",
        "write ClusterFirstWithHostNet",
    )
