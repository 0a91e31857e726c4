"""As much of the Kubernetes API as `kubectl apply --server-side` needs: discovery, and objects, kept as applied."""

from __future__ import annotations

import contextlib
import json
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

# By the path of their group.
KINDS = {
    "/api/v1": ("configmaps", "ConfigMap"),
    "/apis/ray.io/v1": ("rayjobs", "RayJob"),
    "/apis/networking.k8s.io/v1": ("networkpolicies", "NetworkPolicy"),
}


@dataclass
class ApiServer:
    """Attributes:
    url: on loopback.
    namespaces: what objects may be in.
    objects: as they were applied, by path.
    requests: (method, path, query) of each that changed something.
    """

    url: str = ""
    namespaces: tuple[str, ...] = ("everlearn",)
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    requests: list[tuple[str, str, dict[str, list[str]]]] = field(default_factory=list)

    @contextlib.contextmanager
    def running(self) -> Iterator[ApiServer]:
        """The server at work."""
        here = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args: Any) -> None:
                pass

            def do_GET(self) -> None:
                self.reply(*here.get(urlsplit(self.path).path))

            def do_PATCH(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                parts = urlsplit(self.path)
                here.requests.append(("PATCH", parts.path, parse_qs(parts.query)))
                assert self.headers["Content-Type"] == "application/apply-patch+yaml"
                self.reply(*here.apply(parts.path, yaml.safe_load(body)))

            def reply(self, status: int, document: Any) -> None:
                content = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        self.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def get(self, path: str) -> tuple[int, Any]:
        """Discovery, and what was applied."""
        if path == "/api":
            return 200, {"kind": "APIVersions", "versions": ["v1"]}
        if path == "/apis":
            groups = [group.split("/")[2:] for group in KINDS if group.startswith("/apis/")]
            versions = [(name, {"groupVersion": f"{name}/{version}", "version": version}) for name, version in groups]
            listed = [{"name": name, "versions": [version], "preferredVersion": version} for name, version in versions]
            return 200, {"kind": "APIGroupList", "apiVersion": "v1", "groups": listed}
        if path == "/openapi/v3":
            return 200, {"paths": {group[1:]: {"serverRelativeURL": f"/openapi/v3{group}"} for group in KINDS}}
        if path.startswith("/openapi/v3/"):
            return 200, _schema(path.removeprefix("/openapi/v3"), *KINDS[path.removeprefix("/openapi/v3")])
        if path in KINDS:
            plural, kind = KINDS[path]
            resource = {"name": plural, "singularName": "", "namespaced": True, "kind": kind, "verbs": ["get", "patch"]}
            group = path.removeprefix("/apis/").removeprefix("/api/")
            return 200, {"kind": "APIResourceList", "groupVersion": group, "resources": [resource]}
        return (200, self.objects[path]) if path in self.objects else status(404, "NotFound", f"{path} not found")

    def apply(self, path: str, manifest: dict[str, Any]) -> tuple[int, Any]:
        """Keep an object, as it would be kept."""
        namespace = path.split("/namespaces/")[1].split("/")[0]
        if namespace not in self.namespaces:
            return status(404, "NotFound", f'namespaces "{namespace}" not found')
        kept = self.objects.get(path, {"metadata": {"uid": str(uuid.uuid4())}})
        manifest["metadata"] = {**manifest["metadata"], "uid": kept["metadata"]["uid"]}
        self.objects[path] = manifest
        return 201, manifest


def _schema(group: str, plural: str, kind: str) -> dict[str, Any]:
    """That the server itself checks what is applied, field by field: kubectl asks no more of it."""
    name, version = (group.removeprefix("/apis/").split("/")) if group.startswith("/apis/") else ("", "v1")
    patch = {
        "x-kubernetes-action": "patch",
        "x-kubernetes-group-version-kind": {"group": name, "version": version, "kind": kind},
        "parameters": [{"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}],
        "responses": {},
    }
    info = {"title": "Kubernetes", "version": "v1.32.0"}
    path = f"{group}/namespaces/{{namespace}}/{plural}/{{name}}"
    return {"openapi": "3.0.0", "info": info, "paths": {path: {"patch": patch}}}


def status(code: int, reason: str, message: str) -> tuple[int, Any]:
    """A refusal, as Kubernetes says it."""
    return code, {
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message,
    }  # fmt: skip
