"""The Kubernetes API over HTTP: JSON in, JSON out, faults explained."""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from common.exit_codes import ExitCode, RunError
from launch.kubernetes.api_errors import explain
from launch.spec.documents import Document
from launch.spec.user_input import bad_flag

_TIMEOUT_SECS = 30
_MERGE = "application/merge-patch+json"


class Cluster:
    """One API server.

    Args:
        client: a configured `kubernetes.client.ApiClient`; it brings address and credentials.
    """

    def __init__(self, client: Any) -> None:
        self._client = client

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    def get(self, path: str, **query: str) -> Document:
        """One object or one list.

        Raises:
            RunError: the server refuses or is out of reach.
        """
        return self._ask("GET", path, query)

    def items(self, path: str, **query: str) -> list[Document]:
        """The members of a list."""
        return list(self.get(path, **query).get("items") or [])

    def create(self, document: Document, dry_run: bool = False) -> Document:
        """Creates an object, or only asks whether it could be.

        Raises:
            RunError: the server refuses, with what to change.
        """
        query = {"dryRun": "All"} if dry_run else {}
        return self._ask("POST", collection(document), query, document)

    def post(self, path: str, document: Document) -> Document:
        """Sends an object that is answered and not kept, for example an access review."""
        return self._ask("POST", path, {}, document)

    def own(self, document: Document, owner: Document) -> None:
        """Lets an object be deleted together with its owner."""
        head = owner["metadata"]
        reference = {
            "apiVersion": owner["apiVersion"],
            "kind": owner["kind"],
            "name": head["name"],
            "uid": head["uid"],
        }
        self.patch(path_of(document), {"metadata": {"ownerReferences": [reference]}})

    def patch(self, path: str, changes: Document) -> None:
        """Changes the named fields of an object."""
        self._ask("PATCH", path, {}, changes, _MERGE)

    def delete(self, path: str) -> None:
        """Deletes an object and, in the background, what it owns."""
        self._ask("DELETE", path, {"propagationPolicy": "Background"})

    def lines(self, path: str, **query: str) -> Iterator[str]:
        """The lines of a log while they come; ends with the stream, whatever the reason.

        Raises:
            RunError: there is no such log.
        """
        import urllib3

        request = self._client.param_serialize(
            "GET", path, query_params=list(query.items()), auth_settings=["BearerToken"]
        )
        opened = self._send(request, (_TIMEOUT_SECS, _TIMEOUT_SECS))
        if opened.status >= 400:
            raise explain(opened.status, (opened.read() or b"").decode(), f"GET {path}")
        rest = b""
        # A stream says nothing about the job when it breaks: the caller asks the Job's conditions.
        with contextlib.suppress(urllib3.exceptions.HTTPError):
            for chunk in opened.response.stream(16_384, decode_content=True):
                *whole, rest = (rest + chunk).split(b"\n")
                yield from (line.decode(errors="replace") for line in whole)
            if rest:  # only at a clean end: a line that broke off comes whole in the next stream
                yield rest.decode(errors="replace")

    def _ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Document | None = None,
        content_type: str = "application/json",
    ) -> Document:
        headers = {"Accept": "application/json", "Content-Type": content_type}
        request = self._client.param_serialize(
            method,
            path,
            query_params=list(query.items()),
            header_params=headers,
            body=body,
            auth_settings=["BearerToken"],
        )
        response = self._send(request, _TIMEOUT_SECS)
        text = (response.read() or b"").decode(errors="replace")
        if response.status >= 400:
            raise explain(response.status, text, f"{method} {path}")
        return json.loads(text or "{}")

    def _send(self, request: Any, timeout: object) -> Any:
        import urllib3
        from kubernetes.client.exceptions import ApiException

        try:
            return self._client.call_api(*request, _request_timeout=timeout)
        except ApiException as error:
            where = f"{request[0]} {request[1]}"
            raise explain(int(error.status or 0), str(error.body or ""), where) from None
        except urllib3.exceptions.HTTPError as error:
            reason = " ".join(str(error).split())[:200]
            raise RunError(
                ExitCode.TRANSIENT, f"the cluster does not answer: {reason} (--context, KUBECONFIG)"
            ) from None


def connect(context: str) -> Cluster:
    """The cluster of KUBECONFIG, or the one around this pod.

    Raises:
        RunError: there is no usable configuration; BAD_FLAG.
    """
    import urllib3
    import yaml
    from kubernetes import client, config

    # The client remembers KUBECONFIG from when it was imported; ours is the one of now.
    file = os.environ.get("KUBECONFIG") or None
    try:
        configured = config.new_client_from_config(config_file=file, context=context or None)
    except config.ConfigException as error:
        try:
            config.load_incluster_config()
        except config.ConfigException:
            raise bad_flag(
                f"no cluster: {' '.join(str(error).split())} (--context, KUBECONFIG)"
            ) from None
        configured = client.ApiClient()
    except (yaml.YAMLError, AttributeError, TypeError, ValueError) as error:
        raise bad_flag(
            f"no cluster: {file or '~/.kube/config'} is no kubeconfig: {error} (KUBECONFIG)"
        ) from None
    configured.rest_client.pool_manager.connection_pool_kw["retries"] = urllib3.Retry(2)
    return Cluster(configured)


def collection(document: Document) -> str:
    """The path of the list to which a document belongs."""
    return of_kind(document["apiVersion"], document["kind"], document["metadata"]["namespace"])


def path_of(document: Document) -> str:
    """The path of a document itself."""
    return f"{collection(document)}/{quote(document['metadata']['name'])}"


# The APIs of the kinds that manifests name, where they are not the core's.
_APIS = {
    "PriorityClass": "scheduling.k8s.io/v1",
    "RuntimeClass": "node.k8s.io/v1",
    "StorageClass": "storage.k8s.io/v1",
    "IngressClass": "networking.k8s.io/v1",
    "ClusterRole": "rbac.authorization.k8s.io/v1",
    "Role": "rbac.authorization.k8s.io/v1",
    "Deployment": "apps/v1",
    "StatefulSet": "apps/v1",
    "LocalQueue": "kueue.x-k8s.io/v1beta2",
    "ClusterQueue": "kueue.x-k8s.io/v1beta2",
    "ResourceFlavor": "kueue.x-k8s.io/v1beta2",
    "WorkloadPriorityClass": "kueue.x-k8s.io/v1beta2",
    "TrainingRuntime": "trainer.kubeflow.org/v1alpha1",
    "ClusterTrainingRuntime": "trainer.kubeflow.org/v1alpha1",
}


def of_object(kind: str, namespace: str | None, name: str) -> str:
    """The path of an object of any kind that a manifest names; None: it is in no namespace."""
    return f"{of_kind(_APIS.get(kind, 'v1'), kind, namespace)}/{quote(name)}"


def of_kind(version: str, kind: str, namespace: str | None) -> str:
    """The path of all objects of a kind in a namespace; None: of a kind that is in none."""
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    plural = f"{kind.lower()}s".replace("ys", "ies").replace("sss", "sses")
    place = "" if namespace is None else f"/namespaces/{quote(namespace)}"
    return f"{root}{place}/{plural}"
