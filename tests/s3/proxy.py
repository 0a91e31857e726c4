"""A proxy on loopback that misbehaves as told, in front of an S3 server that cannot."""

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# Gets method, path and headers of a request; answers what to do to it: one of FAULTS, or None to pass it on.
Rule = Callable[[str, str, dict[str, str]], str | None]

FAULTS = (
    "refuse",  # close the connection, nothing reaches the server
    "lose answer",  # the server does its work, the client never hears of it
    "half answer",  # close the connection in the middle of the answer's body
    "slow down",  # 503 SlowDown
)

_SLOW_DOWN = (
    b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that is killed while it speaks is what these tests are about."""


class FaultyProxy:
    """Passes requests on to 127.0.0.1:`port` and applies `rule` to each."""

    def __init__(self, port: int, rule: Rule) -> None:
        self.rule = rule
        self.seen: list[tuple[str, str, str | None]] = []
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def __getattr__(self, name: str) -> Any:
                if name.startswith("do_"):
                    return self._serve
                raise AttributeError(name)

            def log_message(self, *args: Any) -> None:
                pass

            def _serve(self) -> None:
                proxy._serve(self, port)

        self._server = _Server(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def _serve(self, client: BaseHTTPRequestHandler, port: int) -> None:
        headers = dict(client.headers.items())
        fault = self.rule(client.command, client.path, headers)
        self.seen.append((client.command, client.path, fault))
        if headers.get("Expect", "").lower() == "100-continue":
            client.send_response_only(100)
            client.end_headers()
        body = client.rfile.read(int(headers.get("Content-Length", 0)))
        if fault == "refuse":
            client.close_connection = True
            return
        if fault == "slow down":
            self._answer(client, 503, {"Content-Type": "application/xml"}, _SLOW_DOWN)
            return
        upstream = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            passed = {name: value for name, value in headers.items() if name.lower() != "expect"}
            upstream.request(client.command, client.path, body, passed)
            answer = upstream.getresponse()
            content = answer.read()
        finally:
            upstream.close()
        if fault == "lose answer":
            client.close_connection = True
            return
        found = {
            name: value
            for name, value in answer.getheaders()
            if name.lower() not in ("connection", "transfer-encoding")
        }
        self._answer(client, answer.status, found, content, half=fault == "half answer")

    def _answer(
        self, client: BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: bytes, half: bool = False
    ) -> None:
        client.send_response_only(status)
        if not any(name.lower() == "content-length" for name in headers):
            headers["Content-Length"] = str(len(body))
        for name, value in headers.items():
            client.send_header(name, value)
        client.end_headers()
        client.wfile.write(body[: len(body) // 2] if half else body)
        client.close_connection = client.close_connection or half

    @contextmanager
    def running(self) -> Iterator["FaultyProxy"]:
        """The proxy at work."""
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()


def first(count: int, fault: str, method: str, containing: str = "") -> Rule:
    """A rule that applies `fault` to the first `count` requests of `method` whose path contains a text."""
    left = [count]

    def rule(command: str, path: str, headers: dict[str, str]) -> str | None:
        if command == method and containing in path and left[0] > 0:
            left[0] -= 1
            return fault
        return None

    return rule
