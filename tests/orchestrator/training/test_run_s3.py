"""A stream with everything in a real S3 server: commits, refs and checkpoints.

Here one process learns it. Workers of Ray that do, Ray's own scratch there, and files that its tasks index are part of
`tests/e2e/cluster.sh`.
"""

from __future__ import annotations

import pytest

from orchestrator.lineage.lineage import Lineage
from orchestrator.storage.open_by_uri import open_store
from orchestrator.training.driver import run
from pipelines.config.load import load_text
from pipelines.config.schema import Pipeline
from tests.s3.server import s3_server, s3_uri

__all__ = ["s3_server", "s3_uri"]

pytestmark = [pytest.mark.s3, pytest.mark.slow]


def pipeline(storage: str, experiences: int) -> Pipeline:
    order = [[2 * k, 2 * k + 1] for k in range(experiences)]
    return load_text(
        f"name: digits\nstream: {{dataset: digits, setting: class-incremental, order: {order}}}\n"
        "model: {name: mlp, hidden: [16]}\nstrategy: [{name: replay, capacity: 40}]\n"
        "train: {epochs: 1, batch_size: 50, checkpoint_every: 1}\n"
        f"storage: {storage}\ntracking: {{uri: 'http://127.0.0.1:9'}}\n"
    )


def test_a_stream_is_learned_extended_and_reused_in_s3(s3_uri: str) -> None:
    place = f"{s3_uri}/some/prefix"
    first = run(pipeline(place, 1))
    longer = run(pipeline(place, 3))
    assert (longer.trained, longer.reused) == (2, 1)
    assert longer.lineage[:1] == first.lineage
    again = run(pipeline(place, 3))
    assert (again.trained, again.reused) == (0, 3)
    store = open_store(place)
    ref = Lineage(store, "digits").ref("latest")
    assert ref is not None
    assert ref.commit == longer.lineage[-1]
    assert list(store.list("digits/runs/")) == []  # the checkpoints are gone
