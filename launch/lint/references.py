"""References: every name that a document gives, and the objects that can bear it."""

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

from launch.lint.objects import Objects, name_of, namespace_of, runtime_of
from launch.lint.pods import Pods
from launch.lint.schemas import is_known
from launch.spec.documents import Document, mapping, mappings, title
from launch.spec.labels import QUEUE

PRIORITY = "kueue.x-k8s.io/priority-class"
# Kind -> kinds that it names, and the fields that do.
_SIMPLE = {
    "LocalQueue": [("ClusterQueue", "spec.clusterQueue")],
    "PersistentVolumeClaim": [
        ("StorageClass", "spec.storageClassName"),
        ("PersistentVolume", "spec.volumeName"),
    ],
    "PersistentVolume": [("StorageClass", "spec.storageClassName")],
    "StatefulSet": [("Service", "spec.serviceName")],
    "Ingress": [("IngressClass", "spec.ingressClassName")],
}


@dataclasses.dataclass(frozen=True)
class Reference:
    """One name in a document that stands for another object.

    Attributes:
        where: the field.
        kind: of the object.
        name: of the object.
        namespace: where it has to be; "" where none is given.
        by: what refers: objects that are held for one kind of user are compared among themselves.
        keys: entries that the object has to have.
        optional: whether it may be missing.
    """

    where: str
    kind: str
    name: str
    namespace: str
    by: str = "pods"
    keys: tuple[str, ...] = ()
    optional: bool = False


def references(objects: Objects) -> list[Reference]:
    """Every reference of the documents that are looked at."""
    found = [one for pods in objects.pods for one in _of_pods(pods)]
    found += [one for document in objects.documents for one in _of_document(document)]
    return [one for one in found if one.name and "$" not in one.name]


def _of_pods(pods: Pods) -> Iterator[Reference]:
    def to(kind: str, field: str, name: object, **more: object) -> Reference:
        text = str(name or "")
        return Reference(pods.at(field), kind, text, pods.namespace, **more)  # type: ignore[arg-type]

    spec = pods.spec
    yield to("ServiceAccount", "serviceAccountName", spec.get("serviceAccountName"))
    yield to("PriorityClass", "priorityClassName", spec.get("priorityClassName"))
    if pods.in_all > 1 and not (pods.is_ours and pods.is_sweep):
        yield to("Service", "subdomain", spec.get("subdomain"), by="subdomain")
    yield to("RuntimeClass", "runtimeClassName", spec.get("runtimeClassName"))
    for index, one in enumerate(mappings(spec, "imagePullSecrets")):
        yield to("Secret", f"imagePullSecrets[{index}]", one.get("name"), by="images")
    for index, volume in enumerate(pods.volumes):
        yield from _of_volume(to, f"volumes[{index}]", volume)
    for path, container in pods.containers():
        for index, variable in enumerate(mappings(container, "env")):
            source = mapping(variable, "valueFrom")
            for field, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
                one = mapping(source, field)
                keys = (str(one["key"]),) if one.get("key") else ()
                where = f"{path}.env[{index}].valueFrom.{field}"
                optional = one.get("optional") is True
                yield to(kind, where, one.get("name"), keys=keys, optional=optional)
        for index, source in enumerate(mappings(container, "envFrom")):
            for field, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
                one = mapping(source, field)
                optional = one.get("optional") is True
                yield to(kind, f"{path}.envFrom[{index}]", one.get("name"), optional=optional)


def _of_volume(to: Any, where: str, volume: Document) -> Iterator[Reference]:
    claim = mapping(volume, "persistentVolumeClaim")
    yield to("PersistentVolumeClaim", f"{where}.persistentVolumeClaim", claim.get("claimName"))
    sources = [(where, volume)]
    projected = mappings(volume, "projected", "sources")
    sources += [(f"{where}.projected.sources[{i}]", one) for i, one in enumerate(projected)]
    for place, source in sources:
        for field, kind in (("configMap", "ConfigMap"), ("secret", "Secret")):
            one = mapping(source, field)
            keys = tuple(str(item.get("key")) for item in mappings(one, "items"))
            name = one.get("secretName") or one.get("name")
            optional = one.get("optional") is True
            yield to(kind, f"{place}.{field}", name, keys=keys, optional=optional)


def _of_document(document: Document) -> Iterator[Reference]:
    spec, namespace, kind = mapping(document, "spec"), namespace_of(document), document.get("kind")

    def to(target: str, field: str, name: object, by: str = "") -> Reference:
        place = f"{title(document)} {field}"
        return Reference(place, target, str(name or ""), namespace, by or str(kind))

    yield from _of_labels(document, to)
    for target, field in _SIMPLE.get(str(kind), ()):
        *parents, last = field.split(".")
        yield to(target, field, mapping(document, *parents).get(last))
    match kind:
        case "ClusterQueue":
            for i, group in enumerate(mappings(spec, "resourceGroups")):
                for k, flavor in enumerate(mappings(group, "flavors")):
                    field = f"spec.resourceGroups[{i}].flavors[{k}].name"
                    yield to("ResourceFlavor", field, flavor.get("name"))
        case "RoleBinding" | "ClusterRoleBinding":
            yield from _of_binding(document)
        case "HorizontalPodAutoscaler":
            scaled = mapping(spec, "scaleTargetRef")
            yield to(str(scaled.get("kind")), "spec.scaleTargetRef", scaled.get("name"))
        case "Ingress":
            for field, name in _backends(spec):
                yield to("Service", field, name)
        case "ServiceAccount":
            for field in ("imagePullSecrets", "secrets"):
                for i, one in enumerate(mappings(document, field)):
                    yield to("Secret", f"{field}[{i}]", one.get("name"), "images")
        case "TrainJob":
            runtime, name = runtime_of(document)
            yield to(runtime, "spec.runtimeRef", name)


def _of_labels(document: Document, to: Any) -> Iterator[Reference]:
    places = [("metadata.labels", mapping(document, "metadata", "labels"))]
    template = mapping(document, "spec", "jobTemplate", "metadata", "labels")
    places.append(("spec.jobTemplate.metadata.labels", template))
    for field, labels in places:
        for key, kind in ((QUEUE, "LocalQueue"), (PRIORITY, "WorkloadPriorityClass")):
            yield to(kind, f"{field}[{key}]", labels.get(key), by="jobs")


def _of_binding(document: Document) -> Iterator[Reference]:
    role, namespace = mapping(document, "roleRef"), namespace_of(document)
    where, by = title(document), "bindings"
    yield Reference(
        f"{where} roleRef", str(role.get("kind")), str(role.get("name") or ""), namespace, by
    )
    for index, subject in enumerate(mappings(document, "subjects")):
        if subject.get("kind") == "ServiceAccount":
            place = str(subject.get("namespace") or namespace)
            name = str(subject.get("name") or "")
            yield Reference(f"{where} subjects[{index}]", "ServiceAccount", name, place, by)


def _backends(spec: Document) -> Iterable[tuple[str, object]]:
    default = mapping(spec, "defaultBackend", "service")
    yield "spec.defaultBackend.service", default.get("name")
    for i, rule in enumerate(mappings(spec, "rules")):
        for k, path in enumerate(mappings(rule, "http", "paths")):
            field = f"spec.rules[{i}].http.paths[{k}].backend.service"
            yield field, mapping(path, "backend", "service").get("name")


def unused(objects: Objects, reference: Reference, all_references: list[Reference]) -> list[str]:
    """The objects of the same kind that the files hold and nothing of this sort refers to."""
    kind, by = reference.kind, reference.by
    used = {one.name for one in all_references if one.kind == kind and one.by == by}
    for document in (*objects.documents, *objects.beside):
        if not is_known(str(document.get("apiVersion")), str(document.get("kind"))):
            used |= set(_texts(document))  # a kind of others may refer to anything
    held = objects.of_kind(kind, reference.namespace)
    if by == "subdomain":
        held = [one for one in held if mapping(one, "spec").get("clusterIP") == "None"]
    return sorted({name_of(one) for one in held} - used - {""})


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for member in value.values() if isinstance(value, dict) else ():
        yield from _texts(member)
    for member in value if isinstance(value, list) else ():
        yield from _texts(member)
