"""Network policies: what the pods have to reach is let through, and no more for Lockstep's own."""

from collections.abc import Iterator

from launch.lint.addresses import Link, links
from launch.lint.clusters import works_together
from launch.lint.finding import Finding, error, style, warning
from launch.lint.objects import Objects, same_namespace
from launch.lint.pods import Pods
from launch.lint.selectors import matches, selects
from launch.spec.documents import Document, mapping, mappings, sequence, title

_SIDES = {"Ingress": "from", "Egress": "to"}
_METADATA = "169.254.169.254"
_REMOTE = ("gs://", "s3://", "https://", "az://", "abfs://", "hf://")


def check_policies(objects: Objects) -> Iterator[Finding]:
    """All rules on network policies."""
    said: set[str] = set()
    # All addresses of the same pods and port meet the same policies.
    different = {(id(one.address.pods), id(one.target), one.port): one for one in links(objects)}
    for link in different.values():
        for finding in _check_link(objects, link):
            if finding.where not in said:
                yield finding
            said.add(finding.where)
    for pods in objects.pods:
        yield from _check_outside(objects, pods)
        if pods.is_ours:
            yield from _check_isolation(objects, pods)


def _selecting(objects: Objects, pods: Pods, side: str) -> list[Document]:
    """The policies that close one side of the pods."""
    found = objects.of_kind("NetworkPolicy", pods.namespace)
    return [one for one in found if side in sides(one) and selects(one, pods)]


def sides(policy: Document) -> set[str]:
    """What a policy closes: Ingress always, Egress where it has rules, if it does not say."""
    spec = mapping(policy, "spec")
    told = set(map(str, sequence(spec, "policyTypes")))
    return told or ({"Ingress", "Egress"} if "egress" in spec else {"Ingress"})


def _rules(policies: list[Document], side: str) -> list[Document]:
    return [rule for one in policies for rule in mappings(one, "spec", side.lower())]


def _check_link(objects: Objects, link: Link) -> Iterator[Finding]:
    source, target = link.address.pods, link.target
    # NCCL picks its ports freely.
    every = works_together(source) and source is target
    if link.port is None and not every:
        return  # it is not told which port is called
    port = None if every else link.port
    for side, closed, other in (("Ingress", target, source), ("Egress", source, target)):
        policies = _selecting(objects, closed, side)
        if not policies:
            continue
        where = f"{title(policies[0])} spec.{side.lower()}"
        rules = [r for r in _rules(policies, side) if _names(objects, r, side, other, closed)]
        if not rules:
            who = "the workers apart" if source is target else f"{title(source.document)} out"
            yield error(
                where,
                f"keeps {who}: {link.address.host} is called in {link.address.where}",
                f"let the pods of {title(other.document)} {'in' if side == 'Ingress' else 'be it'}",
            )
        elif not any(_opens(rule, port, target) for rule in rules):
            wanted = "every port: NCCL picks them freely" if port is None else f"port {port}"
            yield error(
                where,
                f"closes {wanted}, which {link.address.where} needs",
                "leave the ports out" if port is None else f"open {port}",
            )


def _names(objects: Objects, rule: Document, side: str, other: Pods, closed: Pods) -> bool:
    """Whether a rule is about these pods."""
    peers = mappings(rule, _SIDES[side])
    return not peers or any(_is_peer(objects, peer, other, closed) for peer in peers)


def _is_peer(objects: Objects, peer: Document, pods: Pods, closed: Pods) -> bool:
    if "ipBlock" in peer:
        return str(mapping(peer, "ipBlock").get("cidr", "")).endswith("/0")
    if "namespaceSelector" in peer:
        labels = objects.labels_of(pods.namespace)
        if not matches(mapping(peer, "namespaceSelector"), labels):
            return False
    elif not same_namespace(pods.namespace, closed.namespace):
        return False
    return matches(mapping(peer, "podSelector"), pods.labels)


def _opens(rule: Document, port: int | None, target: Pods) -> bool:
    """Whether a rule opens a TCP port of the target; None for all of them."""
    ports = mappings(rule, "ports")
    if not ports:
        return True
    return any(one.get("protocol", "TCP") == "TCP" and _covers(one, port, target) for one in ports)


def _covers(one: Document, port: int | None, target: Pods | None) -> bool:
    first, last = one.get("port"), one.get("endPort")
    if first is None:
        return True
    if isinstance(first, str) and target:
        first = target.named_ports.get(first)
    if port is None:
        return isinstance(first, int) and first <= 1024 and isinstance(last, int) and last > 60000
    if isinstance(first, int) and isinstance(last, int):
        return first <= port <= last
    return first == port


def _check_outside(objects: Objects, pods: Pods) -> Iterator[Finding]:
    """Names and storage are outside of the files: every pod needs the one, most the other."""
    policies = _selecting(objects, pods, "Egress")
    if not policies:
        return
    where = f"{title(policies[0])} spec.egress"
    rules = _rules(policies, "Egress")
    names = any(_covers_udp(rule) for rule in rules if _reaches_names(rule))
    text = str(pods.spec)
    uses_names = pods.is_ours or any(one in text for one in (*_REMOTE, "http://", ".svc"))
    if not names and (uses_names or rules):
        yield (error if uses_names else warning)(
            where, "closes port 53: no name can be resolved", "open it for names, UDP and TCP"
        )
    if any(one in text for one in _REMOTE) or pods.is_ours:
        outward = [rule for rule in rules if _reaches_out(rule)]
        if not any(_opens(rule, 443, pods) for rule in outward):
            yield error(where, "closes port 443: buckets are out of reach", "open it for storage")
    if "gs://" in text and pods.is_ours and not any(_opens_metadata(rule) for rule in rules):
        yield warning(
            where,
            f"closes {_METADATA}, where GKE gives the pods their account: buckets refuse them",
            "open it, ports 80 and 988",
        )


def _opens_metadata(rule: Document) -> bool:
    peers = mappings(rule, "to")
    blocks = [str(mapping(peer, "ipBlock").get("cidr", "")) for peer in peers]
    return (not peers or any(b.startswith(_METADATA) or b.endswith("/0") for b in blocks)) and (
        not mappings(rule, "ports") or any(_covers(p, 80, None) for p in mappings(rule, "ports"))
    )


def _covers_udp(rule: Document) -> bool:
    ports = mappings(rule, "ports")
    return (
        not ports
        or any(one.get("protocol", "TCP") == "UDP" and _covers(one, 53, None) for one in ports)
        or any(one.get("port") in ("dns", "dns-udp") for one in ports)
    )


def _reaches_names(rule: Document) -> bool:
    """Whether a rule is about more than pods of the same namespace."""
    peers = mappings(rule, "to")
    return not peers or any("namespaceSelector" in one or "ipBlock" in one for one in peers)


def _reaches_out(rule: Document) -> bool:
    """Whether a rule names more than pods: addresses outside of the cluster."""
    peers = mappings(rule, "to")
    blocks = [str(mapping(peer, "ipBlock").get("cidr", "")) for peer in peers if "ipBlock" in peer]
    return not peers or any(not block.startswith("169.254.") for block in blocks)


def _check_isolation(objects: Objects, pods: Pods) -> Iterator[Finding]:
    found = objects.of_kind("NetworkPolicy", pods.namespace)
    policies = [one for one in found if selects(one, pods)]
    if not policies:
        yield style(
            pods.of_template("metadata.labels"),
            "no NetworkPolicy isolates these pods: TensorFlow's port runs what it is sent",
            "add one that selects the instance label",
        )
    for policy in policies:
        missing = {"Ingress", "Egress"} - sides(policy)
        if missing and len(policies) == 1:
            yield style(
                f"{title(policy)} spec.policyTypes", f"leaves {sorted(missing)} open", "name both"
            )
        yield from _check_width(policy, pods)


def _check_width(policy: Document, pods: Pods) -> Iterator[Finding]:
    spec = mapping(policy, "spec")
    for index, entry in enumerate(sequence(spec, "ingress")):
        where = f"{title(policy)} spec.ingress[{index}].from"
        sources = mappings(entry, "from")
        if not sources:
            yield warning(
                where,
                "lets everyone in: TensorFlow's port runs what it is sent",
                "name the pods of the same job",
            )
        for source in sources:
            if not _is_narrow(source, pods):
                yield warning(
                    where,
                    "lets in more than the same job: TensorFlow's port runs what it is sent",
                    "use its instance label",
                )
    if any(not rule for rule in mappings(spec, "egress")):
        yield style(f"{title(policy)} spec.egress", "lets everything out", "name the ports")


def _is_narrow(source: Document, pods: Pods) -> bool:
    labels = mapping(source, "podSelector", "matchLabels")
    own = bool(labels) and labels.items() <= pods.labels.items()
    if "namespaceSelector" in source:
        return bool(mapping(source, "namespaceSelector"))
    return own and "ipBlock" not in source
