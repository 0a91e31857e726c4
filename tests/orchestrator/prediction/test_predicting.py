"""A loaded model's `predict`: the same answers for the same rows in any form, without the training data.

Covers: `orchestrator/prediction/predictions.py`
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from orchestrator.checkpointing.load_model import load_model
from orchestrator.prediction import predicting
from orchestrator.prediction.predictions import ClassPredictions, classes, labels, numbers
from pipelines.build import make_stream
from pipelines.config.load import load_text
from pipelines.config.pipeline_errors import DataError, PipelineError
from pipelines.models.mlp import MLP
from pipelines.models.tabular_mlp import TabularMLP
from tests.orchestrator.prediction.conftest import Trained
from tests.orchestrator.train_stream import train


def test_rows_in_any_form_get_the_same_answers(trained: Trained) -> None:
    model = load_model(trained.pipeline)
    assert isinstance(model, TabularMLP) and type(model).__name__ == "TabularMLP"
    found = model.predict(trained.rows)
    assert isinstance(found, ClassPredictions)
    assert found.names == ("bad", "good") and found.probabilities.shape == (60, 2)
    assert np.allclose(found.probabilities.sum(1), 1)
    assert found.labels.tolist() == [found.names[k] for k in found.probabilities.argmax(1)]
    table = pa.Table.from_pandas(trained.rows)
    rows = [{name: value for name, value in row.items() if value is not None} for row in table.to_pylist()]
    tensor = predicting.manner(model).inputs.of(trained.rows)
    shuffled = trained.rows[trained.rows.columns[::-1]].assign(further=1)
    for form in (table, table.to_pydict(), rows, tensor, tensor.numpy(), shuffled):
        assert np.array_equal(model.predict(form).probabilities, found.probabilities)
    logits = model(tensor)
    assert np.array_equal(torch.softmax(logits, 1).detach().numpy(), found.probabilities)
    assert len(model.predict(trained.rows[:0])) == 0


def test_batches_change_nothing(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_model(trained.pipeline)
    whole = model.predict(trained.rows).probabilities
    monkeypatch.setattr(predicting, "ROWS", 7)
    assert np.allclose(model.predict(trained.rows).probabilities, whole, atol=1e-6)


def test_what_does_not_fit_is_refused(trained: Trained) -> None:
    model = load_model(trained.pipeline)
    for data, said in (
        (trained.rows.drop(columns="country"), "the table: has no column 'country'"),
        (trained.rows.assign(amount="much"), "the table: column 'amount' is numeric, but has 'much' in row 0"),
        (torch.zeros(3, 2), r"the tensor: its inputs are of shape \(2,\), but the model takes \(13,\)"),
        (7, "cannot predict from int: give a tensor or an array, a data frame"),
    ):
        with pytest.raises(DataError, match=said):
            model.predict(data)


def test_classes_of_logits() -> None:
    found = classes(torch.tensor([[0.0, 2.0], [1.0, -1.0]]), ["cat", "dog"])
    assert found.labels.tolist() == ["dog", "cat"]
    assert {name: len(column) for name, column in found.columns().items()} == {
        "prediction": 2,
        "probability_cat": 2,
        "probability_dog": 2,
    }


def test_labels_and_values() -> None:
    found = labels(torch.tensor([[0.0, 2.0], [-1.0, 1.0]]), ["new", "hot"])
    assert found.chosen.tolist() == [[True, True], [False, True]] and found.counts() == {"new": 1, "hot": 2}
    assert list(found.columns()) == ["prediction_new", "prediction_hot", "probability_new", "probability_hot"]
    two, one = numbers(torch.ones(3, 2), ["a", "b"]), numbers(torch.ones(3, 1), ["0"])
    assert list(two.columns()) == ["prediction_a", "prediction_b"] and not two.counts() and len(two) == 3
    assert list(one.columns()) == ["prediction"]


def test_a_regression_model_answers_in_the_unit_of_its_targets(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    rows = pd.DataFrame({"c": draw.choice(["a", "b"], 80), "x": draw.random(80)})
    rows["y"] = 1000 + 100 * rows["x"]
    rows.to_parquet(tmp_path / "0.parquet")
    pipeline = load_text(
        f"name: r\nmodel: {{name: tabular-mlp, hidden: [8], dropout: 0}}\nstorage: {tmp_path / 'store'}\n"
        "objective: regression\ntrain: {epochs: 20, batch_size: 16, optimizer: {name: adam, lr: 0.03}}\nstream:\n"
        f"  setting: domain-incremental\n  dataset: {{name: parquet, path: {tmp_path}, label: y, features: auto}}\n"
    )
    found = load_model(pipeline, train(pipeline, make_stream(pipeline))[-1]).predict(rows)
    assert list(found.columns()) == ["prediction"]
    assert np.abs(found.columns()["prediction"] - rows["y"]).mean() < 20


def digits(folder: Path, strategy: str) -> str:
    return (
        f"name: d\nmodel: {{name: mlp, hidden: [6]}}\nstorage: {json.dumps(str(folder))}\nstrategy: {strategy}\n"
        "stream: {dataset: digits, experiences: 2}\ntrain: {steps: 2, batch_size: 20}\n"
    )


def test_classes_without_names_are_called_by_their_numbers(tmp_path: Path) -> None:
    pipeline = load_text(digits(tmp_path, "naive"))
    model = load_model(pipeline, train(pipeline)[-1])
    assert isinstance(model, MLP)
    found = model.predict(np.zeros((3, 8, 8), np.uint8))
    assert found.names == tuple("0123456789") and len(set(found.labels.tolist())) == 1


def test_a_method_that_answers_by_its_memory_is_not_answered_for(tmp_path: Path) -> None:
    pipeline = load_text(digits(tmp_path, "{name: icarl, capacity: 20}"))
    model = load_model(pipeline, train(pipeline)[-1])
    assert model(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
    with pytest.raises(PipelineError, match="strategy icarl predicts with state that it keeps beside the model"):
        model.predict(torch.zeros(2, 1, 8, 8))
