"""An HTTP server in a thread, for what answers a request or two a minute."""

from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class SmallHttpServer:
    """A server that answers until it is closed.

    Attributes:
        address: host and port, as in a URL.
    """

    def __init__(self, host: str, port: int, handler: type[BaseHTTPRequestHandler], name: str) -> None:
        """
        Args:
            port: 0: any that is free.
            name: of its thread.

        Raises:
            OSError: the address cannot be used.
        """
        self._server = (_Version6 if ":" in host else ThreadingHTTPServer)((host, port), handler)
        self._server.daemon_threads = True
        bound = self._server.server_address
        self.address = f"{f'[{bound[0]!s}]' if ':' in str(bound[0]) else bound[0]!s}:{bound[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True, name=name).start()

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()


class _Version6(ThreadingHTTPServer):
    address_family = socket.AF_INET6
