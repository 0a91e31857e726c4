"""Events that wake `everlearn watch`: a POST, or a message of an SQS queue.

An event only says that it is worth looking: the listing of the source decides. A lost event delays the step, and a
repeated event costs one more listing.
"""

from __future__ import annotations

import hmac
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import urlsplit

from orchestrator.errors import StorageError
from orchestrator.storage.s3_errors import code_of
from orchestrator.updates.small_http_server import SmallHttpServer

GATHER_S = 1.0
"""Seconds between an event and the step that it starts: files often arrive together."""
_POLL_S = 20
_LONGEST_PAUSE_S = 60.0
_MOST_BYTES = 2**20


class Alarm:
    """The pause between two steps, which an event or the end of the loop cuts short."""

    def __init__(self, again_after: float = 0.0) -> None:
        """
        Args:
            again_after: seconds after an event, a second step is taken: a file is read once it was not changed for so
                long.
        """
        self._stop, self._bell = threading.Event(), threading.Event()
        self._again_after = again_after
        self._again: float | None = None

    def ring(self) -> None:
        """Something has happened."""
        if self._again_after:
            self._again = time.monotonic() + self._again_after
        self._bell.set()

    def set(self) -> None:
        """End the loop."""
        self._stop.set()
        self._bell.set()

    def is_set(self) -> bool:
        """Whether the loop is to end."""
        return self._stop.is_set()

    def wait(self, seconds: float) -> None:
        """Until an event, the end of the loop, or so many seconds are over."""
        until = time.monotonic() + seconds
        again = self._again
        if again is not None and again < until:
            until = again
        if self._bell.wait(max(0.0, until - time.monotonic())):
            self._stop.wait(GATHER_S)
            self._bell.clear()
        elif again is not None and self._again == again and again <= time.monotonic():
            self._again = None


class Webhook(SmallHttpServer):
    """An HTTP server to which a POST is an event."""

    def __init__(self, host: str, port: int, ring: Callable[[], object], token: str | None = None) -> None:
        """
        Args:
            port: 0: any that is free.
            token: that a request must send as `Authorization: Bearer TOKEN`.

        Raises:
            OSError: the address cannot be used.
        """
        super().__init__(host, port, _handler(ring, token), "webhook")


class Queue:
    """Listens to an SQS queue, such as one to which S3 or EventBridge report new objects, in a thread of its own.

    Messages are deleted as they arrive: the source itself shows what is new.
    """

    def __init__(self, url: str, ring: Callable[[], object], on_failure: Callable[[StorageError], object]) -> None:
        """
        Args:
            url: of the queue. Credentials and endpoint as for S3.
            on_failure: called when the queue cannot be read, once until it can be read again.

        Raises:
            StorageError: the queue is not there, or may not be read.
        """
        self._url, self._ring, self._on_failure = url, ring, on_failure
        with _explained(url):
            self._client = _sqs_client(url)
        self._closed = threading.Event()
        self._receive(0)
        threading.Thread(target=self._listen, daemon=True, name="queue").start()

    def close(self) -> None:
        """Stop listening."""
        self._closed.set()

    def _listen(self) -> None:
        failures = 0
        while not self._closed.is_set():
            try:
                self._receive(_POLL_S)
                failures = 0
            except StorageError as error:
                failures += 1
                if failures == 1:
                    self._on_failure(error)
                self._closed.wait(min(2.0**failures, _LONGEST_PAUSE_S))

    def _receive(self, seconds: int) -> None:
        with _explained(self._url):
            answer = self._client.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10, WaitTimeSeconds=seconds)
            messages = answer.get("Messages", [])
            if messages:
                self._ring()
                entries = [{"Id": str(i), "ReceiptHandle": m["ReceiptHandle"]} for i, m in enumerate(messages)]
                self._client.delete_message_batch(QueueUrl=self._url, Entries=entries)


@contextmanager
def _explained(url: str) -> Iterator[None]:
    """Turns what goes wrong with a queue into a StorageError."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError, ValueError) as error:  # what is no URL is a ValueError
        why = code_of(error) if isinstance(error, ClientError) else " ".join(str(error).split())[:200].rstrip(".")
        raise StorageError(
            f"{url}: cannot be read: {why}.\nCorrect --queue, or the credentials: they need "
            "sqs:ReceiveMessage and sqs:DeleteMessage"
        ) from None


def _sqs_client(url: str) -> Any:
    from botocore.config import Config

    from orchestrator.storage.s3_client import aws_session

    session = aws_session()
    # sqs.REGION.amazonaws.com says its region; another server takes any.
    parts = (urlsplit(url).hostname or "").split(".")
    region = parts[1] if parts[0] == "sqs" and len(parts) > 2 else session.region_name or "us-east-1"
    config = Config(connect_timeout=5, read_timeout=_POLL_S + 10, retries={"total_max_attempts": 2})
    return session.client("sqs", region_name=region, config=config)


def _handler(ring: Callable[[], object], token: str | None) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_POST(self) -> None:
            sent = self.headers.get("Authorization", "")
            if token is not None and not hmac.compare_digest(sent.encode(), f"Bearer {token}".encode()):
                self.send_error(401)
                return
            length = self.headers.get("Content-Length", "0")
            if length.isdecimal() and int(length) <= _MOST_BYTES:
                self.rfile.read(int(length))  # the body is not needed: the source shows what is new
            ring()
            self.send_response(202)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments: Any) -> None:
            """Requests are not logged."""

    return Handler
