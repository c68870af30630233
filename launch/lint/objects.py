"""All objects of the files, found by kind, namespace and name."""

import dataclasses
import functools
from collections.abc import Sequence

from launch.lint.pods import RUNTIMES, TRAINJOB, Pods, pods_of
from launch.spec.documents import Document, mapping

# Kinds of Kubernetes, and of what training uses, that belong to no namespace.
_NAMES = (
    "APIService AdmissionCheck CSIDriver CSINode ClusterQueue ClusterRole ClusterRoleBinding "
    "ClusterTrainingRuntime Cohort ComponentStatus CustomResourceDefinition DeviceClass "
    "FlowSchema IngressClass MutatingWebhookConfiguration Namespace Node PersistentVolume "
    "PriorityClass PriorityLevelConfiguration ResourceFlavor ResourceSlice RuntimeClass "
    "StorageClass Topology ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding "
    "ValidatingWebhookConfiguration VolumeAttachment WorkloadPriorityClass"
)
CLUSTER_WIDE = frozenset(_NAMES.split())


@dataclasses.dataclass(frozen=True)
class Objects:
    """The documents of one file, and those of the files beside it.

    Attributes:
        documents: those that are looked at.
        beside: those that are known, and looked at elsewhere.
    """

    documents: Sequence[Document]
    beside: Sequence[Document] = ()

    @functools.cached_property
    def pods(self) -> list[Pods]:
        """All pods of the documents that are looked at."""
        return [pods for document in self.documents for pods in self._pods_of(document)]

    @functools.cached_property
    def all_pods(self) -> list[Pods]:
        """All pods, those of the files beside this one among them."""
        return [*self.pods, *(one for beside in self.beside for one in self._pods_of(beside))]

    @functools.cached_property
    def _by_kind(self) -> dict[str, list[Document]]:
        found: dict[str, list[Document]] = {}
        for document in (*self.documents, *self.beside):
            found.setdefault(str(document.get("kind")), []).append(document)
        return found

    def _pods_of(self, document: Document) -> list[Pods]:
        return pods_of(document, name_of(self.trainjob_of(document) or {}))

    def trainjob_of(self, document: Document) -> Document | None:
        """The TrainJob that runs a runtime; None where the files hold none, or several."""
        kind, name = document.get("kind"), name_of(document)
        if kind not in RUNTIMES:
            return None
        namespace = namespace_of(document) if kind not in CLUSTER_WIDE else None
        found = [
            one for one in self.of_kind(TRAINJOB, namespace) if runtime_of(one) == (kind, name)
        ]
        return found[0] if len(found) == 1 else None

    def of_kind(self, kind: str, namespace: str | None = None) -> list[Document]:
        """All objects of a kind; those that a namespace can see where one is given."""
        found = self._by_kind.get(kind, [])
        if namespace is None or kind in CLUSTER_WIDE:
            return found
        return [one for one in found if same_namespace(namespace_of(one), namespace)]

    def find(self, kind: str, namespace: str, name: str) -> Document | None:
        """The object, or None where the files do not hold it."""
        found = [one for one in self.of_kind(kind, namespace) if name_of(one) == name]
        return found[0] if found else None

    def in_namespace(self, namespace: str) -> list[Pods]:
        """All pods that run in a namespace."""
        return [one for one in self.all_pods if same_namespace(one.namespace, namespace)]

    def labels_of(self, namespace: str) -> Document:
        """The labels of a namespace; of one that the files do not hold only its name is known."""
        held = self.find("Namespace", "", namespace)
        return {
            "kubernetes.io/metadata.name": namespace,
            **mapping(held, "metadata", "labels"),
        }


def name_of(document: Document) -> str:
    """The name, or "" where there is none or the cluster makes it up."""
    return str(mapping(document, "metadata").get("name") or "")


def namespace_of(document: Document) -> str:
    """The namespace, or "" where none is given."""
    return str(mapping(document, "metadata").get("namespace") or "")


def runtime_of(trainjob: Document) -> tuple[str, str]:
    """Kind and name of the runtime that a TrainJob names."""
    named = mapping(trainjob, "spec", "runtimeRef")
    return str(named.get("kind") or "ClusterTrainingRuntime"), str(named.get("name") or "")


def same_namespace(one: str, other: str) -> bool:
    """Whether two namespaces are the same; one that is not given is where kubectl puts it."""
    return one == other or not one or not other
