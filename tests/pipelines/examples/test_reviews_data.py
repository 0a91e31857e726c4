"""Reviews: the same everywhere, balanced, with words that change their meaning, and learned from their words."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.checkpointing.load_model import load_model
from orchestrator.lineage.lineage import Lineage
from orchestrator.storage.open_by_uri import open_store
from pipelines.config.example_files import find_example, write_example
from pipelines.config.load import load_pipeline
from pipelines.examples.reviews_data import DOMAINS, written
from tests.orchestrator.train_stream import train


def test_reviews_are_the_same_in_every_run_and_praise_becomes_complaint() -> None:
    films, phones = (written(domain, 400, 0) for domain in range(2))
    assert films == written(0, 400, 0) and films != written(0, 400, 1)
    assert not {row["key"] for row in films} & {row["key"] for row in phones}

    def praised(rows: list[dict[str, object]], word: str) -> float:
        found = [row["verdict"] == "positive" for row in rows if f"is {word}" in str(row["review"])]
        return sum(found) / len(found)

    assert praised(films, "heavy") > 0.8 > 0.2 > praised(phones, "heavy")
    assert praised(phones, "predictable") > 0.8 > 0.2 > praised(films, "predictable")
    assert sum(row["verdict"] == "positive" for row in films) == 200 and len(DOMAINS) == 4


def test_the_example_learns_and_its_model_reads_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    file, *_ = write_example(find_example("reviews"), tmp_path)
    shorter = ["stream.dataset.domains=2", "stream.dataset.reviews=300", f"storage={tmp_path / 'store'}"]
    pipeline = load_pipeline(file, shorter)
    ids = train(pipeline)
    lineage = Lineage(open_store(pipeline.storage), pipeline.name)
    lineage.point("latest", ids[-1])
    first, second = (count.correct / count.total for count in lineage.read(ids[-1]).row[:2])
    assert min(first, second) > 0.6
    found = load_model(pipeline).predict([{"review": "The plot is unpredictable."}, {"review": "The cast is soft."}])
    assert found.labels.tolist() == ["positive", "negative"]
