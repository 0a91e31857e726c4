"""Requests in every form give the model's own answers; what does not fit is said with column and row.

Covers: `orchestrator/serving/batch_answers.py`
"""

from __future__ import annotations

import io
import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from orchestrator.checkpointing.load_model import load_model
from orchestrator.prediction.predicting import manner
from orchestrator.prediction.predictions import ClassPredictions, labels, numbers
from orchestrator.serving import request_body
from orchestrator.serving.batch_answers import Reply, answer_batch, as_document, input_schema
from orchestrator.serving.model_swap import ServedModel, warmed_up
from orchestrator.serving.request_body import Question
from pipelines.data.images.image_options import ImageInputs, ImageOptions
from tests.orchestrator.serving.conftest import Chain, Trained

CSV, PARQUET = "text/csv", "application/vnd.apache.parquet"


@pytest.fixture(scope="module")
def table(trained: Trained) -> ServedModel:
    return warmed_up("c" * 64, load_model(trained.pipeline))


@pytest.fixture(scope="module")
def digits(chain: Chain) -> ServedModel:
    return warmed_up(chain.commits[-1], load_model(chain.pipeline))


def ask(served: ServedModel, body: Any, content_type: str = "application/json") -> Reply:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    (reply,) = answer_batch(served, [Question(data, content_type)])
    return reply


def plain(trained: Trained) -> list[dict[str, Any]]:
    """Rows as JSON has them: times as text, missing values as null."""
    rows = trained.rows.assign(at=trained.rows["at"].dt.strftime("%Y-%m-%dT%H:%M:%S")).to_dict("records")
    return [{k: None if isinstance(v, float) and math.isnan(v) else v for k, v in row.items()} for row in rows]


def test_every_form_gives_the_answers_of_predict(table: ServedModel, trained: Trained) -> None:
    found = table.model.predict(trained.rows)
    assert isinstance(found, ClassPredictions)
    rows = plain(trained)
    file = io.BytesIO()
    parquet.write_table(pa.Table.from_pandas(trained.rows, preserve_index=False), file)
    left_out = [{name: value for name, value in row.items() if value is not None} for row in rows]
    for body, content_type in (
        ({"rows": rows}, "application/json"),
        ({"rows": left_out}, "application/json"),
        ({"columns": {name: [row[name] for row in rows] for name in rows[0]}}, "application/json"),
        (trained.rows.to_csv(index=False).encode(), CSV),
        (file.getvalue(), PARQUET),
    ):
        reply = ask(table, body, content_type)
        assert (reply.status, reply.rows, reply.commit) == (200, 60, "c" * 64), reply
        assert reply.document["predictions"] == found.labels.tolist()
        assert np.array_equal(np.array(reply.document["probabilities"], np.float32), found.probabilities)
        assert reply.document["names"] == ["bad", "good"] and reply.document["commit"] == "c" * 64


def test_tensors_are_lists(digits: ServedModel) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 8))
    for inputs, dtype in ((pixels, "uint8"), (pixels / 255, None)):
        reply = ask(digits, {"inputs": inputs.tolist()} | ({"dtype": dtype} if dtype else {}))
        found = digits.model.predict(inputs.astype(dtype or np.float32))
        assert isinstance(found, ClassPredictions)
        assert np.array_equal(np.array(reply.document["probabilities"], np.float32), found.probabilities)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "not JSON: line 1, column 1"),
        (b'{"rows": [}', "not JSON: line 1, column 11"),
        (b'{"rows": "\xff"}', "is not UTF-8 at byte 10"),
        (b'{"rows": [{"amount": NaN}]}', "NaN is no JSON"),
        (b"[" * 100_000, "too deep"),
        (b'{"inputs": [' + b"9" * 5000 + b"]}", "too many digits"),
        ([], "must be an object with one of rows, columns and inputs"),
        ({"rows": [], "inputs": []}, "must be an object with one of rows, columns and inputs"),
        ({"rows": [{}], "top": 1}, "has unknown keys: top"),
        ({"rows": []}, "rows must be a list of one object or more"),
        ({"rows": [{}, 7]}, "row 1 must be an object of columns, got int"),
        ({"rows": [{"amount": 1}]}, "has no column 'country'"),
        ({"rows": [{"amount": "much"}]}, "has no column 'country'"),
        ({"columns": {"a": [1], "b": [1, 2]}}, "columns must be of one length, got a: 1, b: 2"),
        ({"columns": {}}, "columns must be of one length, got none"),
        ({"columns": {"amount": [1, "x"]}}, "column 'amount' has values of several kinds"),
        ({"columns": {"amount": [10**30]}}, "column 'amount' has values of several kinds"),
        ({"columns": {"country": ["\ud800"]}}, "column 'country' has values of several kinds"),
        ({"columns": {"a\ud800": [1]}}, "the name of column 'a\\ud800' has half of a character"),
        (b'{"inputs": ' + b"[" * 40 + b"]" * 40 + b"}", "more than 32 lists and objects inside one another"),
        ({"inputs": [[1, 2], [3]]}, "the lists in inputs differ in length"),
        ({"inputs": [[1, 2]]}, "its inputs are of shape (2,), but the model takes (13,)"),
        ({"inputs": [["a"]]}, "inputs must be numbers"),
        ({"inputs": []}, "has no rows"),
        ({"inputs": 1}, "inputs must be a list"),
        ({"inputs": [[256]], "dtype": "uint8"}, "must be from 0 to 255"),
        ({"inputs": [[0.5]], "dtype": "int64"}, "must be whole numbers"),
        ({"inputs": [[1]], "dtype": "object"}, "dtype must be one of float32"),
        ({"rows": [{}], "dtype": "uint8"}, "dtype belongs to inputs"),
    ],
)
def test_what_is_wrong_is_said(table: ServedModel, body: Any, said: str) -> None:
    reply = ask(table, body)
    assert reply.status == 400 and reply.document["error"].startswith("the body: ") and said in reply.document["error"]


def test_the_row_of_a_wrong_value_is_named(table: ServedModel, trained: Trained) -> None:
    rows = plain(trained)[:3]
    rows[2]["at"] = "yesterday"
    wrong = ask(table, {"rows": rows})
    assert wrong.document["error"].startswith("the body: column 'at' is a timestamp, but has 'yesterday'")
    assert "in row 2" in wrong.document["error"]
    assert "row 1 has 2 columns" in ask(table, b"a,b,c\n1,2,3\n4,5\n", CSV).document["error"]
    assert "not a readable parquet file" in ask(table, b"PAR1", PARQUET).document["error"]
    assert ask(table, b"", CSV).status == 400
    assert ask(table, b"amount,\xff\n1,2\n", CSV).document["error"] == "the body: is not UTF-8"
    twice = ask(table, b"amount,amount,country,paid,at\n1,1,DE,true,\n", CSV)
    assert twice.document["error"] == "the body: has two columns of the name 'amount'"


def test_a_request_has_a_number_of_rows_at_most(table: ServedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_body, "MOST_ROWS", 2)
    wide = {"columns": {"amount": [1, 2, 3]}}
    for body, kind in ((wide, "application/json"), ({"inputs": [1, 2, 3]}, "application/json")):
        assert ask(table, body, kind).status == 413
    assert ask(table, b"amount,country,paid,at\n" + b"1,DE,true,\n" * 3, CSV).status == 413


@settings(max_examples=60, deadline=None)
@given(
    body=st.binary(max_size=40)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(["rows", "columns", "inputs", "dtype", "amount", "at"]), inner, max_size=4
            )
        ),
        max_leaves=12,
    ).map(lambda value: json.dumps(value).encode()),
    kind=st.sampled_from(["application/json", CSV, PARQUET]),
)
def test_no_body_is_an_unexpected_error(table: ServedModel, body: bytes, kind: str) -> None:
    """Whatever comes is refused or answered; JSON can hold what is said."""
    reply = ask(table, body, kind)
    assert reply.status in (200, 400)
    json.dumps(reply.document, allow_nan=False)


NASTY = st.one_of(
    *(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(st.characters(), max_size=5),
        st.datetimes().map(str),
    ),
    st.sampled_from(
        [10**400, 2**63, 1e308, "1e999", "inf", "2026-13-01", "9999-12-31T23:59:59-18:00", [[]], {"a": [1]}]
    ),
)


@settings(max_examples=80, deadline=None)
@given(
    changes=st.lists(
        st.dictionaries(st.sampled_from(["amount", "country", "paid", "at", "b\ud800"]), NASTY), max_size=3
    ),
    value=NASTY,
)
def test_no_value_is_an_unexpected_error(
    table: ServedModel, digits: ServedModel, changes: list[dict[str, Any]], value: Any
) -> None:
    rows = [{"amount": 1.5, "country": "DE", "paid": True, "at": "2026-01-01", **change} for change in changes]
    dtype = {"dtype": value} if isinstance(value, str) else {}
    for served, body in ((table, {"rows": rows}), (digits, {"inputs": [[0.5] * 63 + [value]], **dtype})):
        reply = ask(served, body)
        assert reply.status in (200, 400)
        json.dumps(reply.document, allow_nan=False)


@settings(max_examples=20, deadline=None)
@given(counts=st.lists(st.integers(0, 4), min_size=1, max_size=6))
def test_a_batch_answers_each_request_as_if_it_came_alone(digits: ServedModel, counts: list[int]) -> None:
    """0 stands for a request that is wrong, which does not disturb the others."""
    draw = np.random.default_rng(0)
    bodies = [json.dumps({"inputs": draw.random((n, 64)).round(3).tolist()}).encode() for n in counts]
    together = answer_batch(digits, [Question(body) for body in bodies])
    for body, count, reply in zip(bodies, counts, together, strict=True):
        alone = ask(digits, body)
        assert (reply.status, reply.rows, reply.commit) == (200 if count else 400, count, digits.commit)
        if count:
            assert reply.document["predictions"] == alone.document["predictions"]
            assert np.allclose(reply.document["probabilities"], alone.document["probabilities"], atol=1e-6)


def test_a_client_never_names_a_file_to_open(chain: Chain) -> None:
    """A model that was trained on image files takes tables of paths, which are ours and not a client's."""
    model = load_model(chain.pipeline)
    use = manner(model)
    options = ImageOptions((8, 8), "grey")
    object.__setattr__(
        model, "_manner_of_use", replace(use, inputs=replace(use.inputs, images=ImageInputs(options, "image")))
    )
    served = ServedModel("c" * 64, model, torch.float32)
    said = 'the body: this model takes images: send them as inputs, (n, 1, 8, 8), with dtype "uint8"'
    for body, kind in (({"rows": [{"image": "/etc/hostname"}]}, "application/json"), (b"image\n/etc/hostname\n", CSV)):
        assert ask(served, body, kind).document == {"error": said}


def test_labels_and_values_are_documents() -> None:
    found = as_document(labels(torch.tensor([[0.0, 2.0], [-9.0, -1.0]]), ["new", "hot"]))
    assert found["predictions"] == [["new", "hot"], []] and found["probabilities"][0][0] == 0.5
    assert as_document(numbers(torch.tensor([[1.5], [float("inf")]]), ["0"]))["predictions"] == [1.5, None]
    assert as_document(numbers(torch.tensor([[1.0, 2.0]]), ["a", "b"])) == {
        "names": ["a", "b"],
        "predictions": [[1.0, 2.0]],
    }


def test_the_schema_says_what_is_taken(table: ServedModel, digits: ServedModel) -> None:
    assert input_schema(table)["columns"] == {
        "amount": "numeric",
        "country": "categorical",
        "paid": "numeric",
        "at": "timestamp",
    }
    assert input_schema(digits) == {"input_shape": [1, 8, 8], "outputs": list("0123456789")}
