"""The service over real HTTP: addresses, token, limits, and errors without details."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from orchestrator.checkpointing.load_model import load_model
from orchestrator.serving.batch_answers import Reply, answer_batch
from orchestrator.serving.http_service import Limits, PredictionService
from orchestrator.serving.model_swap import ServedModel, warmed_up
from orchestrator.serving.request_body import Question
from orchestrator.serving.serving_metrics import ServingMetrics
from tests.orchestrator.serving.clients import Client, in_a_thread, until
from tests.orchestrator.serving.conftest import Chain

ROW = {"inputs": [[0.5] * 64]}


class Service:
    """A service with switches."""

    def __init__(self, chain: Chain, **limits: Any) -> None:
        self.served: ServedModel | None = warmed_up(chain.commits[0], load_model(chain.pipeline, chain.commits[0]))
        self.failing = False
        self.waiting = 0
        self.open = threading.Event()
        self.open.set()
        self.errors: list[Exception] = []
        self.service = PredictionService(
            self.answer,
            lambda: self.served,
            ServingMetrics({"pipeline": "digits"}),
            ref="champion",
            pipeline="digits",
            limits=Limits(**limits),
            on_error=self.errors.append,
        )

    async def answer(self, question: Question) -> Reply:
        if self.failing:
            raise RuntimeError("secret detail")
        self.waiting += 1
        while not self.open.is_set():
            await asyncio.sleep(0.005)
        assert self.served is not None
        return answer_batch(self.served, [question])[0]


@pytest.fixture
def one(chain: Chain) -> Iterator[tuple[Service, int]]:
    service = Service(chain, token="t0ken", most_bytes=2000, most_waiting=2)
    with in_a_thread(service.service) as port:
        yield service, port


def test_addresses(one: tuple[Service, int], chain: Chain) -> None:
    _, port = one
    client = Client(port, "t0ken")
    got = client.predict(ROW)
    assert got.status == 200 and got.commit == chain.commits[0] == got.json["commit"]
    assert "server" not in got.headers
    about = client.ask("GET", "/").json
    assert about["pipeline"] == "digits" and about["input_shape"] == [1, 8, 8] and about["commit"] == chain.commits[0]
    assert client.ask("HEAD", "/").status == 200
    assert client.ask("GET", "/metrics").headers["content-type"].startswith("text/plain; version=0.0.4")
    assert client.ask("GET", "/predict").headers["allow"] == "POST"
    assert client.ask("POST", "/healthz").status == 405
    missing = client.ask("GET", "/nothing")
    assert missing.status == 404 and missing.json["error"].startswith("there is no such address; there are /")
    assert client.predict(b"x", content_type="image/png").status == 415
    assert client.predict(b'{"inputs": 1}').status == 400
    for wrong in ("-1", "x", "1.0", "9" * 50, "%D9%A1", ""):
        got = client.ask("POST", f"/predict?experience={wrong}", ROW)
        assert got.status == 400 and got.json["error"].startswith("experience must be the number")
    got = client.ask("POST", "/predict?experience=1", ROW)
    assert got.json["error"].startswith("experience=1: the model has no adapter or head of its own")
    assert client.predict({"inputs": [[1]]}).json == {
        "error": "the body: its inputs are of shape (1,), but the model takes (1, 8, 8)"
    }


def test_the_token_is_asked_for(one: tuple[Service, int]) -> None:
    _, port = one
    for token, extra in (
        (None, {}),
        ("wrong", {}),
        ("t0ken2", {}),
        (None, {"authorization": "Basic t0ken"}),
        (None, {"authorization": "t0ken"}),
        (None, {"authorization": "Bearer t\xe9"}),
    ):
        client = Client(port, token)
        for method, path in (("POST", "/predict"), ("GET", "/"), ("GET", "/metrics"), ("GET", "/nothing")):
            got = client.ask(method, path, **extra)
            assert got.status == 401 and got.headers["www-authenticate"] == "Bearer" and got.commit is None
        assert client.ask("GET", "/healthz").status == client.ask("GET", "/readyz").status == 200
    assert Client(port).predict(ROW, authorization="bearer t0ken").status == 200


def test_large_bodies_are_refused_before_they_are_read(one: tuple[Service, int]) -> None:
    _, port = one
    client = Client(port, "t0ken")
    assert client.predict(b" " * 2001).status == 413
    assert client.ask("POST", "/predict", iter([b" " * 1500] * 2)).status == 413
    assert client.predict(b" " * 2000).status == 400
    assert client.predict(ROW).status == 200


def test_a_failure_is_logged_and_not_told(one: tuple[Service, int]) -> None:
    service, port = one
    service.failing = True
    got = Client(port, "t0ken").predict(ROW)
    assert got.status == 500 and b"secret" not in got.body and b"Traceback" not in got.body
    assert [str(error) for error in service.errors] == ["secret detail"]


def test_too_many_at_a_time_and_none_yet(one: tuple[Service, int]) -> None:
    service, port = one
    service.open.clear()
    got = []
    threads = [threading.Thread(target=lambda: got.append(Client(port, "t0ken").predict(ROW).status)) for _ in range(2)]
    for thread in threads:
        thread.start()
    client = Client(port, "t0ken")
    until(lambda: service.waiting == 2)
    assert client.predict(ROW).status == 503
    assert client.ask("GET", "/healthz").status == 200
    service.open.set()
    for thread in threads:
        thread.join()
    assert got == [200, 200] and client.predict(ROW).status == 200
    service.service.draining = True
    assert client.ask("GET", "/readyz").status == 503 and client.predict(ROW).status == 200
    service.served = None
    assert client.predict(ROW).json == {"error": "not ready: there is no model of champion yet"}
