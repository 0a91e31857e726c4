"""What clients see: the addresses, the token, the limits, and errors that say what is wrong.

It is an ASGI application without a framework's own handlers, so that no answer has another form than these.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from orchestrator.serving.batch_answers import Reply, problem
from orchestrator.serving.request_body import FILES, Question, is_known
from orchestrator.serving.served_set import model_schema
from orchestrator.serving.serving_metrics import CONTENT_TYPE

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from orchestrator.serving.model_swap import ServedModel
    from orchestrator.serving.serving_metrics import ServingMetrics

COMMIT_HEADER = "everlearn-commit"
MOST_BYTES = 16 * 2**20
"""Of a request's body."""
MOST_WAITING = 256
"""Requests that are read or answered at a time; further ones are refused, instead of memory growing with them."""

METHODS = {"/": "GET", "/predict": "POST", "/healthz": "GET", "/readyz": "GET", "/metrics": "GET"}
OPEN = ("/healthz", "/readyz")
"""Answered without the token, for probes, which cannot hold a secret. The answers hold nothing else."""


@dataclass
class Limits:
    """What a service accepts.

    Attributes:
        token: that clients must send; None: none is needed.
        most_bytes: of a body.
        most_waiting: requests at a time.
    """

    token: str | None = field(default=None, repr=False)
    most_bytes: int = MOST_BYTES
    most_waiting: int = MOST_WAITING


class PredictionService:
    """Answers requests.

    Attributes:
        draining: whether the process is about to end: it is not ready, and answers what still comes.
    """

    def __init__(
        self,
        answer: Callable[[Question], Awaitable[Reply]],
        current: Callable[[], ServedModel | None],
        metrics: ServingMetrics,
        *,
        ref: str,
        pipeline: str,
        limits: Limits | None = None,
        commits: Callable[[], Mapping[str, str]] = dict,
        on_error: Callable[[Exception], object] = lambda error: None,
    ) -> None:
        """
        Args:
            answer: called where `current` has a model.
            ref: that is followed.
            commits: the commits that a request may name, by ref; empty: it names none.
            on_error: gets what failed unexpectedly; the client gets no details of it.
        """
        self._answer, self._current, self._metrics = answer, current, metrics
        self._ref, self._pipeline = ref, pipeline
        self._limits, self._commits = limits or Limits(), commits
        self._on_error = on_error
        self._waiting = 0
        self.draining = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, as ASGI has it."""
        if scope["type"] != "http":
            return
        try:
            response = await self.respond(Request(scope, receive))
        except ClientDisconnect:
            return
        await response(scope, receive, send)

    async def respond(self, request: Request) -> Response:
        """The response to a request. Raises ClientDisconnect alone."""
        path, began = request.url.path, time.monotonic()
        if path == "/predict":
            reply = await self._predict(request)
            if isinstance(reply, Reply):
                self._metrics.request(reply.status, time.monotonic() - began, reply.rows)
                return _json(reply.status, reply.document, {COMMIT_HEADER: reply.commit} if reply.commit else None)
            self._metrics.request(reply.status_code, time.monotonic() - began, 0)
            return reply
        return self._refused(request) or self._page(path)

    def _page(self, path: str) -> Response:
        served = self._current()
        if path == "/healthz":
            return _json(200, {"status": "alive"})
        if path == "/readyz":
            return _json(200, {"status": "ready"}) if served and not self.draining else _json(503, problem("not ready"))
        if path == "/metrics":
            return Response(self._metrics.text(), media_type=CONTENT_TYPE)
        about: dict[str, Any] = {"pipeline": self._pipeline, "ref": self._ref}
        about |= {"commit": served.commit if served else None, "commits": dict(self._commits())}
        headers = {COMMIT_HEADER: served.commit} if served else {}
        return _json(200, about | (model_schema(served) if served else {}), headers)

    def _refused(self, request: Request) -> Response | None:
        """Why a request gets no answer; None: it does."""
        path = request.url.path
        method = METHODS.get(path)
        if path not in OPEN and not self._is_allowed(request):
            text = "a token is needed: send the header Authorization: Bearer TOKEN"
            return _json(401, problem(text), {"www-authenticate": "Bearer"})
        if method is None:
            return _json(404, problem(f"there is no such address; there are {', '.join(METHODS)}"))
        if request.method != method and not (method == "GET" and request.method == "HEAD"):
            return _json(405, problem(f"{path} takes {method}"), {"allow": method})
        return None

    def _is_allowed(self, request: Request) -> bool:
        if self._limits.token is None:
            return True
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        # Of equal length, so that the time says nothing, not even how long the token is.
        wanted, found = (hashlib.sha256(t.encode("utf-8", "replace")).digest() for t in (self._limits.token, given))
        return hmac.compare_digest(wanted, found) and scheme.lower() == "bearer"

    async def _predict(self, request: Request) -> Reply | Response:
        refused = self._refused(request)
        if refused is not None:
            return refused
        content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if not is_known(content_type):
            known = ", ".join(("application/json", *FILES))
            return _json(415, problem(f"cannot read a body of content type {content_type[:80]!r}: send {known}"))
        if self._current() is None:
            return _json(503, problem(f"not ready: there is no model of {self._ref} yet"), {"retry-after": "5"})
        if self._waiting >= self._limits.most_waiting:
            return _json(
                503, problem("too many requests at a time: send this request again later"), {"retry-after": "1"}
            )
        self._waiting += 1
        try:
            body = await self._body(request)
            if body is None:
                return _json(413, problem(f"the body has more than {self._limits.most_bytes:,} bytes: send fewer rows"))
            asked = request.query_params
            experience = asked.get("experience")
            if experience is not None and not (experience.isascii() and experience.isdigit() and len(experience) < 7):
                return _json(400, problem("experience must be the number of an experience, such as 0"))
            number = None if experience is None else int(experience)
            return await self._answer(Question(body, content_type or "application/json", asked.get("commit"), number))
        except ClientDisconnect:
            raise
        except Exception as error:
            self._on_error(error)
            return _json(500, problem("the model failed on this request: the traceback is in the log of the server"))
        finally:
            self._waiting -= 1

    async def _body(self, request: Request) -> bytes | None:
        """The body; None: it is too large, and the rest of it was not read."""
        most = self._limits.most_bytes
        said = request.headers.get("content-length", "")
        if said.isdecimal() and int(said[:20]) > most:
            return None
        parts, size = [], 0
        async for part in request.stream():
            size += len(part)
            if size > most:
                return None
            parts.append(part)
        return b"".join(parts)


def _json(status: int, document: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    body = json.dumps(document, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")
    return Response(body, status, headers, media_type="application/json")
