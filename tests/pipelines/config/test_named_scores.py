"""The keys `score` and `metrics` of a pipeline file."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.config.components import without_own_code
from pipelines.config.load import load_text
from pipelines.config.named_scores import named_scores, scores_for
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
    with pytest.raises(PipelineError, match="recall takes recall@class=CLASS, recall@threshold=NUMBER"):
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


def test_a_class_is_given_by_its_name_or_the_number_of_its_output() -> None:
    names = "recall@class=emu, recall@class=7, recall@class=1, precision@class=New York, recall@threshold=0.5"
    pipeline = load_text(f"{HEAD}metrics: [{names}]\n")
    units = ("emu", "7", "New York")
    values = np.array([[0.8, 0.1, 0.1], [0.2, 0.5, 0.3], [0.1, 0.2, 0.7], [0.1, 0.2, 0.7]])
    truth = np.array([0.0, 1.0, 1.0, 2.0])
    found = {one.name: one.value(values, truth) for one in scores_for(pipeline, units)[1:]}
    # The output of the number 1 is that of the class called 7.
    assert found.pop("recall@threshold=0.5") is not None
    assert found == {
        "recall@class=emu": 1.0,
        "recall@class=7": 0.5,
        "recall@class=1": 0.5,
        "precision@class=New York": 0.5,
    }
    assert [one.value(values, truth) for one in scores_for(load_text(f"{HEAD}score: recall@class=2\n"), None)] == [1.0]
    for written, names_, message in (
        ("emy", units, "recall@class=emy names no class, did you mean 'emu'\\? The classes are emu, 7, New York"),
        ("emu", None, "recall@class=emu names no class. The classes have no names: give a number"),
    ):
        with pytest.raises(PipelineError, match=message):
            scores_for(load_text(f"{HEAD}metrics: [recall@class={written}]\n"), names_)
