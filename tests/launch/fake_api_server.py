"""A small stand-in for kube-apiserver: real HTTP, no semantics of its own.

It stores what is posted, lists by label and serves what a test puts into it. It schedules nothing,
validates nothing and runs no controller: what the tests prove with it is that the client sends the
right requests and understands the answers. Admission, RBAC and the Job controller are real only in
tests/control_plane.
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

_LISTS = {"jobs", "jobsets", "trainjobs", "pods", "events", "workloads", "nodes"}


class FakeApiServer:
    """The server and what it knows.

    Attributes:
        objects: stored objects by path.
        requests: method, path and query of every request, in order.
        refusals: status and message for a `METHOD /path prefix`, first match.
        denied: resource and subresource that access reviews say no to.
        logs: chunks of text for a pod's log, one list a connection; the last one stays.
        on_get: called with the path of every GET before it is answered.
        on_post: called with path and query of every POST; may answer with status and message.
    """

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.refusals: dict[str, tuple[int, str]] = {}
        self.denied: set[tuple[str, str]] = set()
        self.logs: dict[str, list[str]] = {}
        self.on_get: Any = None
        self.on_post: Any = None
        handler = type("Handler", (_Handler,), {"api": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        if not self._thread.is_alive():
            return
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def put(self, path: str, document: dict[str, Any]) -> None:
        self.objects[path] = document

    def sent(self, method: str) -> list[str]:
        """Paths of all requests of one method, dry runs marked."""
        return [
            path + (" (dry run)" if query.get("dryRun") else "")
            for verb, path, query in self.requests
            if verb == method
        ]


class _Handler(BaseHTTPRequestHandler):
    api: FakeApiServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *args: object) -> None:
        """Keeps the test output clean."""

    def _begin(self) -> tuple[str, dict[str, str]] | None:
        parts = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        self.api.requests.append((self.command, parts.path, query))
        for prefix, (status, message) in self.api.refusals.items():
            if f"{self.command} {parts.path}".startswith(prefix):
                self._body()
                self._answer(status, {"kind": "Status", "message": message, "code": status})
                return None
        return parts.path, query

    def _body(self) -> Any:
        return json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"null")

    def _answer(self, status: int, content: Any) -> None:
        data = content.encode() if isinstance(content, str) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        if not (begun := self._begin()):
            return
        path, query = begun
        if self.api.on_get:
            self.api.on_get(path)
        if path.endswith("/log"):
            chunks = self.api.logs.get(path, [])
            self._answer(200, chunks.pop(0) if len(chunks) > 1 else "".join(chunks))
        elif path in self.api.objects:
            self._answer(200, self.api.objects[path])
        elif path.rsplit("/", 1)[-1] in _LISTS:
            self._answer(200, {"items": self._list(path, query)})
        else:
            self._answer(404, {"message": f"{path} not found"})

    def _list(self, path: str, query: dict[str, str]) -> list[dict[str, Any]]:
        labels = query.get("labelSelector", "")
        wanted = dict(pair.split("=") for pair in labels.split(",") if pair)
        about = query.get("fieldSelector", "").rpartition("involvedObject.name=")[2]
        stored = sorted(self.api.objects.items(), key=lambda item: item[0])  # as the server does
        found = [one for key, one in stored if key.startswith(path + "/")]
        found = [one for one in found if about in ("", one.get("involvedObject", {}).get("name"))]
        return [one for one in found if wanted.items() <= one["metadata"].get("labels", {}).items()]

    def do_POST(self) -> None:
        if not (begun := self._begin()):
            return
        path, query = begun
        document = self._body()
        if path.endswith("selfsubjectaccessreviews"):
            self._answer(201, {**document, "status": {"allowed": self._may(document)}})
            return
        if self.api.on_post and (refusal := self.api.on_post(path, query)):
            self._answer(refusal[0], {"message": refusal[1]})
            return
        target = f"{path}/{document['metadata']['name']}"
        if target in self.api.objects:
            self._answer(409, {"message": f"{document['metadata']['name']} already exists"})
            return
        document["metadata"]["uid"] = f"uid-{len(self.api.objects)}"
        if not query.get("dryRun"):
            self.api.objects[target] = document
        self._answer(201, document)

    def _may(self, review: dict[str, Any]) -> bool:
        asked = review["spec"]["resourceAttributes"]
        return (asked["resource"], asked["subresource"]) not in self.api.denied

    def do_PATCH(self) -> None:
        if not (begun := self._begin()):
            return
        document = self.api.objects[begun[0]]
        _merge(document, self._body())
        self._answer(200, document)

    def do_DELETE(self) -> None:
        if begun := self._begin():
            self._body()
            self.api.objects.pop(begun[0], None)
            self._answer(200, {"status": "Success"})


def _merge(target: dict[str, Any], changes: dict[str, Any]) -> None:
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(target.get(key), dict):
            _merge(target[key], value)
        else:
            target[key] = value
