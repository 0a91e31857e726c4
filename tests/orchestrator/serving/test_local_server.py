"""`everlearn serve --local` under load: promotions, rollbacks, a damaged commit, and its end.

Covers: `orchestrator/cli/serve.py`, `orchestrator/serving/bearer_token.py`
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import sys
import threading
from pathlib import Path
from signal import SIGTERM

import numpy as np
import pytest

from orchestrator.checkpointing.load_model import load_model
from orchestrator.cli.main import invoke
from orchestrator.lineage import layout
from orchestrator.lineage.lineage import Lineage
from orchestrator.prediction.predicting import Predicting
from orchestrator.prediction.predictions import ClassPredictions
from orchestrator.serving.local_server import listening
from orchestrator.updates.promotion import promote, rollback
from pipelines.config.load import load_pipeline
from pipelines.config.pipeline_errors import PipelineError
from tests.orchestrator.serving.clients import Client, Process, process, until
from tests.orchestrator.serving.conftest import Chain

MOVES = 50


@pytest.fixture
def copied(chain: Chain, tmp_path: Path) -> Chain:
    """The chain in a store of the test's own."""
    text = chain.file.read_text().replace(json.dumps(chain.pipeline.storage), json.dumps(str(tmp_path / "store")))
    shutil.copytree(chain.pipeline.storage, tmp_path / "store")
    (tmp_path / "digits.yaml").write_text(text)
    return Chain(load_pipeline(tmp_path / "digits.yaml"), tmp_path / "digits.yaml", chain.commits)


def images(seed: int) -> list[list[float]]:
    rows = np.random.default_rng(seed).random((1 + seed % 3, 64)).astype(np.float32)
    return [[float(number) for number in row] for row in rows]


@pytest.mark.slow
def test_no_request_fails_over_50_promotions_and_rollbacks(copied: Chain) -> None:
    """Each answer is that of the commit which it names, bit for bit."""
    lineage, (first, *others) = copied.lineage, copied.commits
    promote(lineage, first, force=True, reason="the first")
    asked, failed = [], []
    ended = threading.Event()

    def ask(client: Client, seed: int) -> None:
        draw = random.Random(seed)
        while not ended.is_set():
            question = images(draw.randrange(12))
            try:
                got = client.predict({"inputs": question})
            except OSError as error:
                failed.append(error)
                return
            (asked if got.status == 200 else failed).append((question, got))

    with process(copied.file, "--local", "--every", "0.02s", "--also", others[1][:12]) as server:
        assert [server.event("swapped")["commit"] for _ in range(2)] == [first, others[1]]
        clients = [Client(server.port) for _ in range(4)]
        threads = [threading.Thread(target=ask, args=(client, n)) for n, client in enumerate(clients[1:])]
        for thread in threads:
            thread.start()
        for move in range(MOVES // 2):
            other = others[move % len(others)]
            promote(lineage, other, force=True, reason=f"move {move}")
            assert server.event("swapped")["commit"] == other
            rollback(lineage, first, reason=f"move {move}")
            assert server.event("swapped") | {"text": "", "seconds": 0} == {
                "kind": "swapped",
                "text": "",
                "commit": first,
                "previous": other,
                "seconds": 0,
            }
        ended.set()
        for thread in threads:
            thread.join()
        for name, status, commit in ((others[1][:9], 200, others[1]), ("champion", 200, first), ("latest", 404, None)):
            got = clients[0].ask("POST", f"/predict?commit={name}", {"inputs": images(0)})
            assert (got.status, got.commit) == (status, commit)
        assert clients[0].ask("GET", "/").json["commits"] == {"champion": first, others[1][:12]: others[1]}
        metrics = clients[0].ask("GET", "/metrics").body.decode()
        assert f'commit_info{{pipeline="digits",ref="champion",commit="{first}"}} 1' in metrics
        server.running.send_signal(signal.SIGTERM)
        assert server.running.wait(60) == 0
    assert failed == [] and len(asked) > MOVES
    models: dict[str, Predicting] = {}
    for question, got in asked:
        assert got.commit == got.json["commit"]
        model = models.setdefault(got.json["commit"], load_model(copied.pipeline, got.json["commit"]))
        found = model.predict(np.array(question, dtype=np.float32))
        assert isinstance(found, ClassPredictions)
        assert np.array_equal(np.array(got.json["probabilities"], np.float32), found.probabilities)
        assert got.json["predictions"] == found.labels.tolist()
    assert set(models) == set(copied.commits)
    assert f'everlearn_serve_requests_total{{pipeline="digits",ref="champion",code="200"}} {len(asked) + 2}' in metrics
    assert f'everlearn_serve_swapped_total{{pipeline="digits",ref="champion"}} {MOVES + 2}' in metrics


def damage(lineage: Lineage, commit: str) -> None:
    sha256 = lineage.read(commit).blobs["model"].sha256
    lineage.store.put(layout.blob_key(lineage.pipeline, sha256), b"damaged")


@pytest.mark.slow
def test_a_commit_that_cannot_be_loaded_leaves_the_one_before(copied: Chain) -> None:
    lineage, (first, broken, last, *_) = copied.lineage, copied.commits
    damage(lineage, broken)
    token = {"EVERLEARN_SERVE_TOKEN": "secret"}
    with process(copied.file, "--local", "--every", "0.02s", **token) as server:
        client = Client(server.port, "secret")
        event = server.event("waiting")
        assert event["text"] == "there is no commit champion yet: not ready until there is"
        assert client.ask("GET", "/healthz").status == 200 and client.ask("GET", "/readyz").status == 503
        got = client.predict({"inputs": images(0)})
        assert got.status == 503 and got.json == {"error": "not ready: there is no model of champion yet"}
        lineage.point("champion", first)
        assert server.event("swapped")["commit"] == first and client.ask("GET", "/readyz").status == 200
        lineage.point("champion", broken)
        event = server.event("refused")
        assert event["commit"] == broken and event["previous"] == first
        assert event["text"].endswith(f"; commit {first[:12]} keeps answering")
        assert client.predict({"inputs": images(0)}).commit == first
        assert Client(server.port).predict({"inputs": images(0)}).status == 401
        lineage.point("champion", last)
        # That the broken one was tried again and again is not said again.
        assert json.loads(server.out.readline())["kind"] == "swapped"
        assert client.predict({"inputs": images(0)}).commit == last
        assert 'refused_total{pipeline="digits",ref="champion"} 1' in client.ask("GET", "/metrics").body.decode()
        _is_drained(server)


def _is_drained(server: Process) -> None:
    """A request of which half is there at SIGTERM is answered, a new connection is refused."""
    body = json.dumps({"inputs": images(0)}).encode()
    head = f"POST /predict HTTP/1.1\r\nhost: x\r\nauthorization: Bearer secret\r\ncontent-length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port)) as begun:
        begun.sendall(head.encode() + body[:10])
        until(lambda: b"_total" in Client(server.port, "secret").ask("GET", "/metrics").body)
        server.running.send_signal(signal.SIGTERM)
        until(lambda: not _takes_connections(server.port))
        begun.sendall(body[10:])
        assert begun.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")
    assert server.running.wait(60) == 0


@pytest.mark.parametrize("arguments", [["--local", "--port", "0"], []], ids=["local", "on Ray"])
def test_a_server_that_is_stopped_while_it_starts_ends_in_order(
    arguments: list[str], copied: Chain, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if arguments:
        monkeypatch.setattr("orchestrator.serving.local_server.listening", lambda *_: os.kill(os.getpid(), SIGTERM))
    else:  # what Ray's own handler does, from the moment on that Ray has started
        monkeypatch.setattr("orchestrator.serving.ray_server.serve_on_ray", lambda *_, **__: sys.exit(SIGTERM))
    assert invoke(["serve", str(copied.file), *arguments, "--ref", "latest"]) == 0
    out, err = capsys.readouterr()
    assert (out, err) == ("", "ended    before it served: SIGTERM\n")


def _takes_connections(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def test_what_can_never_be_served_ends_the_command(
    copied: Chain, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(copied.lineage, copied.commits[0])
    asked = ["serve", str(copied.file), "--local", "--port", "0", "--ref"]
    assert invoke([*asked, copied.commits[0]]) == 3
    assert "is damaged" in capsys.readouterr().err
    assert invoke([*asked, "a/b"]) == 2
    assert "is not a ref's name" in capsys.readouterr().err
    for words in (["champoin"], ["latest", "--also", "latset"]):
        assert invoke([*asked, *words]) == 2
        said = capsys.readouterr().err
        assert f"no ref or commit '{words[-1]}' of pipeline digits" in said and "there are the refs latest;" in said
    (tmp_path / "empty").write_text("\n")
    assert invoke([*asked, "latest", "--token-file", str(tmp_path / "empty")]) == 2
    assert "a token is a word of letters" in capsys.readouterr().err
    with listening("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        assert invoke(["serve", str(copied.file), "--local", "--port", str(port)]) == 2
    assert f"--port {port}: cannot listen there: Address already in use" in capsys.readouterr().err
    with pytest.raises(PipelineError, match="cannot listen there"):
        listening("203.0.113.1", 0)
