"""The keys `score` and `metrics` of a pipeline file."""

from __future__ import annotations

import pytest

from pipelines.config.components import without_own_code
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


TUNE = "tune: {space: {train.batch_size: {choice: [32, 64]}}"


def test_a_search_is_for_the_score_and_records_what_it_names() -> None:
    tuned = load_text(f"{HEAD}score: log_loss\n{TUNE}}}\n").tune
    assert tuned is not None and (tuned.metrics, tuned.modes) == (("average_log_loss",), ("min",))
    pipeline = load_text(f"{HEAD}{TUNE}, metric: [average_auroc, recall@class=1, worst_recall]}}\n")
    assert pipeline.tune is not None and pipeline.tune.modes == ("max", "max", "max")
    assert [score.name for score in named_scores(pipeline)] == ["accuracy", "auroc", "recall@class=1"]
    for metric, said in (("worst_auroc", "name the score that it is of in `score`"), ("average_mae", "not known")):
        with pytest.raises(PipelineError, match=said):
            load_text(f"{HEAD}{TUNE}, metric: {metric}}}\n")
    with pytest.raises(PipelineError, match="recall takes recall@class=NUMBER, recall@threshold=NUMBER"):
        load_text(f"{HEAD}score: recall@quantile=1\n")


def test_a_score_of_ones_own_is_named_by_its_path() -> None:
    text = f"{HEAD}score: tests.pipelines.own_components:SPREAD\n{TUNE}, metric: average_spread}}\n"
    pipeline = load_text(text)
    assert [score.name for score in named_scores(pipeline)] == ["spread"]
    assert pipeline.tune is not None and pipeline.tune.modes == ("min",)
    assert "tests.pipelines.own_components:SPREAD" in pipeline.own_code()
    with without_own_code():
        assert load_text(text).score == pipeline.score
    with pytest.raises(PipelineError, match="is not a score"):
        load_text(f"{HEAD}metrics: ['tests.pipelines.own_components:blobs']\n")
