"""A tracking server that misbehaves in a chosen way."""

from __future__ import annotations

import json
import socket
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Faulty:
    """Answers every request with a status, "garbage", or "json 403"; takes it and is silent ("hang"); or is not there.

    Attributes:
        requests: how many came.
    """

    behaviour: int | str
    port: int = 0
    requests: int = 0
    _closers: list[object] = field(default_factory=list)

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        if self.behaviour in ("hang", "refuse"):
            listener = socket.socket()
            listener.bind(("127.0.0.1", 0))
            self.port = listener.getsockname()[1]
            if self.behaviour == "hang":
                listener.listen(64)
                self._closers.append(listener)
            else:
                listener.close()
            return
        faulty = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                faulty.requests += 1
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, body = 200, b"<html>welcome</html>"
                if faulty.behaviour == "json 403":
                    status = 403
                    body = json.dumps({"error_code": "PERMISSION_DENIED", "message": "Permission denied"}).encode()
                elif isinstance(faulty.behaviour, int):
                    status, body = faulty.behaviour, b"no"
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Retry-After", "3600")
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_PATCH = _answer

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = server.server_port
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        self._closers.append(server)

    def stop(self) -> None:
        for closer in self._closers:
            if isinstance(closer, ThreadingHTTPServer):
                closer.shutdown()
                closer.server_close()
            elif isinstance(closer, socket.socket):
                closer.close()
