"""The main job with everything in a real S3 server: commits, refs, checkpoints and Ray's own scratch."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from orchestrator.cluster.connect import cluster
from orchestrator.lineage.lineage import Lineage
from orchestrator.storage.open_by_uri import open_store
from orchestrator.training.driver import run
from pipelines.config.load import load_text
from pipelines.config.schema import Pipeline
from tests.orchestrator.train_stream import train
from tests.s3.server import s3_server, s3_uri

__all__ = ["s3_server", "s3_uri"]

pytestmark = [pytest.mark.ray, pytest.mark.s3, pytest.mark.slow]


def pipeline(storage: str, experiences: int) -> Pipeline:
    order = [[2 * k, 2 * k + 1] for k in range(experiences)]
    return load_text(
        f"name: digits\nstream: {{dataset: digits, setting: class-incremental, order: {order}}}\n"
        "model: {name: mlp, hidden: [16]}\nstrategy: [{name: replay, capacity: 40}]\n"
        "train: {epochs: 1, batch_size: 50, checkpoint_every: 1}\n"
        f"storage: {storage}\ntracking: {{uri: 'http://127.0.0.1:9'}}\n"
    )


@pytest.fixture
def ray_cluster(s3_uri: str) -> Iterator[None]:
    """Started when AWS_* lead to the server, so that its processes have them."""
    with cluster(None, load_text("name: x\nstream: {dataset: digits, setting: class-incremental}\nmodel: mlp\n"
                                 "scaling: {workers: 2}\n").scaling):  # fmt: skip
        yield


@pytest.mark.usefixtures("ray_cluster")
def test_a_stream_is_learned_extended_and_reused_in_s3(s3_uri: str) -> None:
    place = f"{s3_uri}/some/prefix"
    first = train(pipeline(place, 1))
    longer = run(pipeline(place, 3), workers=2)
    assert (longer.trained, longer.reused) == (2, 1)
    assert longer.lineage[:1] == first
    again = run(pipeline(place, 3))
    assert (again.trained, again.reused) == (0, 3)
    store = open_store(place)
    ref = Lineage(store, "digits").ref("latest")
    assert ref is not None
    assert ref.commit == longer.lineage[-1]
    assert list(store.list("digits/runs/")) == []  # Ray's scratch and the checkpoints are gone
