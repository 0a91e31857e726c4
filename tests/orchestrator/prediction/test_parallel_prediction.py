"""Predictions by workers of a real local Ray: the same file as by one process, and the same errors."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import pandas as pd
import pyarrow
import pytest
import torch
import yaml

from orchestrator.checkpointing.commit_weights import commit_called
from orchestrator.checkpointing.load_model import load_model
from orchestrator.lineage.lineage import Lineage
from orchestrator.prediction import predict_file as module
from orchestrator.prediction.parallel_prediction import Predictor, predictors
from orchestrator.prediction.predict_file import Answered, Piece, _of_table, predict_file
from orchestrator.storage.open_by_uri import open_store
from pipelines.config.pipeline_errors import PipelineError
from tests.orchestrator.prediction.conftest import Trained


def test_a_worker_answers_pieces_as_the_process_does(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ROWS", 25)
    pipeline, threads = trained.pipeline, torch.get_num_threads()
    model = load_model(pipeline)
    predictor = Predictor(yaml.safe_dump(pipeline.to_document()), "t", "latest", [], threads)
    trained.rows.to_csv(tmp_path / "in.csv", index=False)

    def sent(pieces: Iterable[Piece]) -> Iterator[Answered]:
        for piece in pieces:
            found = predictor.answer(pickle.loads(pickle.dumps(piece)))
            assert not isinstance(found, list)
            yield found

    alone = predict_file(model, str(tmp_path / "in.csv"), tmp_path / "alone.csv")
    assert predict_file(model, str(tmp_path / "in.csv"), tmp_path / "sent.csv", through=sent) == alone
    assert (tmp_path / "sent.csv").read_bytes() == (tmp_path / "alone.csv").read_bytes()
    broken = Piece(None, partial(_of_table, pyarrow.table({"amount": ["much"]}), "in.csv", 7, True))
    assert "in.csv" in str(predictor.answer(broken))


@pytest.mark.ray
@pytest.mark.slow
def test_the_output_is_that_of_one_process(trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Many pieces, more than are read ahead; all of one size but the last.
    monkeypatch.setattr(module, "ROWS", 7)
    pipeline = trained.pipeline
    commit = commit_called(Lineage(open_store(pipeline.storage), pipeline.name), "latest")
    model = load_model(pipeline, commit)
    source = tmp_path / "in.parquet"
    trained.rows.to_parquet(source)
    broken = trained.rows.assign(amount=trained.rows["amount"].astype(str))
    broken.loc[59, "amount"] = "no number"
    broken.to_csv(tmp_path / "broken.csv", index=False)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        alone = predict_file(model, str(source), tmp_path / "alone.parquet")
        with predictors(pipeline, commit, 2, "local") as through:
            found = predict_file(model, str(source), tmp_path / "both.parquet", through=through)
            with pytest.raises(PipelineError, match="column 'amount' is numeric, but has 'no number' in row 59"):
                predict_file(model, str(tmp_path / "broken.csv"), tmp_path / "no.parquet", through=through)
    finally:
        torch.set_num_threads(threads)
    assert found == alone and found.rows == 60
    assert (tmp_path / "both.parquet").read_bytes() == (tmp_path / "alone.parquet").read_bytes()
    assert len(pd.read_parquet(tmp_path / "both.parquet")) == 60 and not (tmp_path / "no.parquet").exists()
