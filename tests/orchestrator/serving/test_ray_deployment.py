"""Serving on Ray Serve: swaps under load, a replica that is killed, a commit that cannot be served. One start of Ray.

Covers: `orchestrator/serving/ray_server.py`
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from orchestrator.checkpointing.load_model import load_model
from orchestrator.prediction.predictions import ClassPredictions
from orchestrator.serving.ray_deployment import build
from pipelines.config.load import load_pipeline
from pipelines.config.pipeline_errors import PipelineError
from tests.orchestrator.serving.clients import Client, Process, process, until
from tests.orchestrator.serving.conftest import Chain
from tests.orchestrator.serving.test_local_server import damage, images

MODEL = "ServeReplica:everlearn-digits:model"


@pytest.fixture(scope="module")
def served(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Chain, Process]]:
    """Two replicas, by the command, of a copy of the chain whose champion is the first commit."""
    folder = tmp_path_factory.mktemp("ray")
    text = chain.file.read_text().replace(json.dumps(chain.pipeline.storage), json.dumps(str(folder / "store")))
    shutil.copytree(chain.pipeline.storage, folder / "store")
    (folder / "digits.yaml").write_text(text)
    copied = Chain(load_pipeline(folder / "digits.yaml"), folder / "digits.yaml", chain.commits)
    copied.lineage.point("champion", chain.commits[0])
    with process(copied.file, "--every", "0.2s", "--replicas", "2", EVERLEARN_SERVE_TOKEN="secret") as server:
        yield copied, server
        server.running.send_signal(signal.SIGTERM)
        assert server.running.wait(120) == 0


def commits(client: Client, number: int = 12) -> set[str | None]:
    found = [client.predict({"inputs": images(0)}) for _ in range(number)]
    assert {got.status for got in found} == {200}
    return {got.commit for got in found}


def replicas() -> dict[int, str]:
    """Processes of replicas of the model, of this user, by their number."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                title = (folder / "cmdline").read_text()
            except OSError:
                continue
            if MODEL in title:
                found[int(folder.name)] = title
    return found


@pytest.mark.slow
@pytest.mark.ray
def test_swaps_fail_no_request(served: tuple[Chain, Process]) -> None:
    chain, server = served
    asked, failed, ended = [], [], threading.Event()

    def ask(client: Client, seed: int) -> None:
        while not ended.is_set():
            seed = (seed + 1) % 12
            got = client.predict({"inputs": images(seed)})
            (asked if got.status == 200 else failed).append((seed, got))

    assert Client(server.port).predict({"inputs": images(0)}).status == 401
    threads = [threading.Thread(target=ask, args=(Client(server.port, "secret"), n)) for n in range(3)]
    client = Client(server.port, "secret")
    until(lambda: commits(client) == {chain.commits[0]})
    for thread in threads:
        thread.start()
    for commit in (chain.commits[1], chain.commits[0], chain.commits[2]):
        chain.lineage.point("champion", commit)
        until(lambda commit=commit: commits(client) == {commit})  # type: ignore[misc]
    ended.set()
    for thread in threads:
        thread.join()
    assert failed == [] and {got.commit for _, got in asked} == set(chain.commits[:3])
    models = {commit: load_model(chain.pipeline, commit) for commit in chain.commits[:3]}
    for seed, got in asked:
        found = models[got.json["commit"]].predict(np.array(images(seed), np.float32))
        assert got.commit == got.json["commit"] and isinstance(found, ClassPredictions)
        # Requests that came at the same time went through the model together.
        assert np.allclose(got.json["probabilities"], found.probabilities, atol=1e-6)


@pytest.mark.slow
@pytest.mark.ray
def test_a_replica_that_fails_is_replaced_by_one_of_the_same_commit(served: tuple[Chain, Process]) -> None:
    """Although the ref names another commit by then: it cannot be served, and was not decided on."""
    chain, server = served
    serving, broken = chain.commits[2], chain.commits[3]
    client = Client(server.port, "secret")
    chain.lineage.point("champion", serving)
    until(lambda: commits(client) == {serving})
    damage(chain.lineage, broken)
    chain.lineage.point("champion", broken)
    assert server.event("refused")["previous"] == serving
    before = replicas()
    assert len(before) == 2
    killed = min(before)
    os.kill(killed, signal.SIGKILL)
    until(lambda: len(replicas()) == 2 and killed not in replicas())
    seen: set[str] = set()

    def both_answer() -> bool:
        got = client.ask("GET", "/metrics").body.decode()
        if 'commit="' in got:
            seen.add(got.partition('replica="')[2].partition('"')[0])
            assert f'commit="{serving}"' in got
        return len(seen) >= 2

    until(both_answer)
    assert commits(client, 30) == {serving}


def test_the_arguments_of_a_config_file_are_checked(chain: Chain) -> None:
    with pytest.raises(PipelineError, match=r"unknown ones in \['refs'\]; known: ref, every"):
        build({"file": str(chain.file), "refs": "latest"})
    with pytest.raises(PipelineError, match="file must be the path"):
        build({"ref": "latest"})
