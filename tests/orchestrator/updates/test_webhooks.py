"""Webhooks against a real HTTP server: the message, its signature, attempts, and that nothing is held up."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from orchestrator.lineage.decisions import Decision
from orchestrator.updates.promotion import promote
from orchestrator.updates.webhooks import SIGNATURE, notify
from pipelines.config.sections.gate_section import WebhookSpec
from tests.orchestrator.updates.answered_commits import open_lineage, write_answered

QUICK = (0.0, 0.0)


class Server(HTTPServer):
    """Answers with the given statuses in turn, the last one for ever."""

    def __init__(self, statuses: list[int]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.statuses = statuses
        self.got: list[tuple[str | None, bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.headers[SIGNATURE], body))
        statuses = self.server.statuses
        self.send_response(statuses.pop(0) if len(statuses) > 1 else statuses[0])
        self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def serving(*statuses: int) -> Iterator[Server]:
    server = Server(list(statuses))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def decision(tmp_path: Path) -> Decision:
    lineage = open_lineage(tmp_path)
    return promote(lineage, write_answered(lineage, None, [0.8]).id, reason="the first")


def test_a_message_has_text_for_slack_and_a_signature(decision: Decision, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    with serving(200) as server:
        monkeypatch.setenv("HOOK", server.url)
        monkeypatch.setenv("KEY", "s3cret")
        hook = WebhookSpec(url_from="HOOK", secret_from="KEY")
        assert notify([hook], "digits", [decision], said.append) == 1
    ((signed, body),) = server.got
    assert signed == "sha256=" + hmac.new(b"s3cret", body, hashlib.sha256).hexdigest()
    document = json.loads(body)
    assert document["text"] == (
        f"digits: commit {decision.commit[:12]} is the champion; champion before: none\nthe first"
    )
    assert document["id"] == decision.checksum and document["decision"]["kind"] == "promotion"
    assert "evidence" not in document["decision"] and said == []


def test_what_fails_for_a_while_is_tried_again_and_what_is_refused_is_not(decision: Decision) -> None:
    said: list[str] = []
    with serving(503, 429, 200) as server:
        assert notify([WebhookSpec(url=server.url)], "digits", [decision], said.append, pauses=QUICK) == 1
        assert len(server.got) == 3 and len({body for _, body in server.got}) == 1
    for status, attempts in ((500, 3), (404, 1), (307, 1)):
        with serving(status) as server:
            assert notify([WebhookSpec(url=server.url)], "digits", [decision], said.append, pauses=QUICK) == 0
            assert len(server.got) == attempts
        assert f"was not told of decision {decision.number}: it answered {status}" in said[-1]


def test_each_hook_gets_what_it_asks_for_and_one_that_fails_stops_no_other(decision: Decision) -> None:
    said: list[str] = []
    with serving(200) as server:
        gone = WebhookSpec(url="http://127.0.0.1:9/hook")
        hooks = [gone, WebhookSpec(url=server.url), WebhookSpec(url=server.url, events=["rollback"])]
        assert notify(hooks, "digits", [decision], said.append, pauses=QUICK) == 1
        assert len(server.got) == 1
    assert len(said) == 1 and "http://127.0.0.1:9/hook was not told" in said[0]
    assert notify([], "digits", [decision], said.append) == 0


def test_a_variable_that_is_not_set_is_named(decision: Decision, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    for name in ("HOOK", "KEY"):
        monkeypatch.delenv(name, raising=False)
    hooks = [WebhookSpec(url_from="HOOK"), WebhookSpec(url="http://127.0.0.1:9/", secret_from="KEY")]
    assert notify(hooks, "digits", [decision], said.append) == 0
    assert sorted(text.split("variable ")[1].split(" ")[0] for text in said) == ["HOOK", "KEY"]
