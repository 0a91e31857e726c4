"""The keys `score` and `metrics` of a pipeline file."""

from __future__ import annotations

import pytest

from pipelines.config.load import load_text
from pipelines.config.named_scores import named_scores
from pipelines.config.pipeline_errors import PipelineError

HEAD = "name: x\nstream: {dataset: digits, experiences: 2}\nmodel: mlp\n"


def test_the_objective_has_a_score_of_its_own() -> None:
    pipeline = load_text(HEAD)
    assert (pipeline.score, pipeline.metrics) == (None, None)
    assert [score.name for score in named_scores(pipeline)] == ["accuracy"]
    assert "score" not in pipeline.to_document() and "metrics" not in pipeline.to_document()


def test_each_is_recorded_once() -> None:
    pipeline = load_text(HEAD + "score: accuracy\nmetrics: [accuracy, accuracy]\n")
    assert [score.name for score in named_scores(pipeline)] == ["accuracy"]


def test_unknown_ones_are_refused_with_their_place() -> None:
    with pytest.raises(PipelineError) as caught:
        load_text(HEAD + "score: acuracy\nmetrics:\n- mae\n")
    text = str(caught.value)
    assert "classification has no score 'acuracy', did you mean 'accuracy'? It has: accuracy" in text
    assert "score:" in text and "metrics.0:" in text and "no score 'mae'" in text
