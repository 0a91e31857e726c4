"""A head's dashboard that keeps what is submitted, and runs nothing; and certificates for it."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ipaddress
import json
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass
class JobsServer:
    """Attributes:
    submitted: bodies of the jobs that were handed in, the oldest first.
    written: what each job has written, by its id.
    ended: the status of those that have ended, by id; the others are pending.
    headers: of the last request.
    """

    address: str = ""
    submitted: list[dict[str, Any]] = field(default_factory=list)
    written: dict[str, str] = field(default_factory=dict)
    ended: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)

    @contextlib.contextmanager
    def running(self, certificate: tuple[Path, Path] | None = None) -> Iterator[JobsServer]:
        """The server at work, over TLS with a certificate and its key."""
        here = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args: Any) -> None:
                pass

            def do_GET(self) -> None:
                here.headers = dict(self.headers.items())
                found = here.answer(self.path)
                self.reply(404 if found is None else 200, found)

            def do_PUT(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.reply(200, {})

            def do_POST(self) -> None:
                *_, job, last = self.path.split("/")
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"] or 0)) or "{}")
                if last == "stop":
                    here.ended.setdefault(job, "STOPPED")
                    self.reply(200, {"stopped": True})
                    return
                here.submitted.append(body)
                self.reply(200, {"job_id": body["submission_id"], "submission_id": body["submission_id"]})

            def reply(self, status: int, document: Any) -> None:
                content = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        if certificate is not None:
            server.socket = _context(certificate).wrap_socket(server.socket, server_side=True)
        self.address = f"http{'s' if certificate else ''}://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def answer(self, path: str) -> Any:
        """What is at a path; None: nothing."""
        if path == "/api/version":
            return {"version": "4", "ray_version": "2.60.0", "ray_commit": "none"}
        if path.startswith("/api/v0/"):
            return {"data": {"result": {"result": []}}}
        if path.endswith("/logs"):
            return {"logs": self.written.get(path.split("/")[-2], "")}
        jobs = [
            {
                "type": "SUBMISSION",
                "submission_id": body["submission_id"],
                "status": self.ended.get(body["submission_id"], "PENDING"),
                "entrypoint": body["entrypoint"],
                "metadata": body["metadata"],
                "start_time": 1_700_000_000_000,
            }
            for body in self.submitted
        ]
        if path == "/api/jobs/":
            return jobs
        return next((job for job in jobs if path == f"/api/jobs/{job['submission_id']}"), None)


def authority(folder: Path) -> tuple[Path, tuple[Path, Path]]:
    """An authority, and the certificate of 127.0.0.1 that it signed with its key, in PEM files."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    def name(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

    now = datetime.datetime.now(datetime.UTC)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]

    def certificate(subject: str, key: ec.EllipticCurvePrivateKey, extension: x509.ExtensionType) -> x509.Certificate:
        return (
            x509.CertificateBuilder()
            .subject_name(name(subject))
            .issuer_name(name("an authority"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(extension, critical=False)
            .sign(keys[0], hashes.SHA256())
        )

    loopback = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = {
        "ca.pem": certificate("an authority", keys[0], x509.BasicConstraints(ca=True, path_length=None)),
        "cert.pem": certificate("a head", keys[1], loopback),
    }
    for file, one in made.items():
        (folder / file).write_bytes(one.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        keys[1].private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return folder / "ca.pem", (folder / "cert.pem", folder / "key.pem")


@contextlib.contextmanager
def tls_proxy(port: int, certificate: tuple[Path, Path]) -> Iterator[str]:
    """The address of a proxy that ends TLS, as an ingress does, and passes everything on to 127.0.0.1:`port`."""
    loop = asyncio.new_event_loop()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pass_on(reader, there[1]), pass_on(there[0], writer), return_exceptions=True)

    server = loop.run_until_complete(asyncio.start_server(serve, "127.0.0.1", 0, ssl=_context(certificate)))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def _context(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context
