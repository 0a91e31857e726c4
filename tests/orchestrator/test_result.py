import json
import math

import pytest

import orchestrator
from orchestrator.result import RunResult
from strategies.metrics import metric_names

KEYS = [
    *("pipeline", "lineage", "accuracy_matrix"),
    *metric_names("matrix"),
    *("trained", "reused", "seconds", "tracking"),
    *metric_names("reference", "answers", "cost"),
    *("class_accuracy", "class_names", "confusion_matrix", "task_labels", "history", "score", "matrices"),
]
PUBLISHED = {"average_accuracy", "backward_transfer", "forward_transfer", "forgetting", "learning_accuracy"}
"""Scripts read them since the first version."""


def test_the_document_has_every_key_in_order_and_is_json() -> None:
    matrix: list[list[float | None]] = [[0.5, None], [math.nan, 0.75]]
    result = RunResult("p", ["a", "b"], matrix, {"average_accuracy": 0.5, "forgetting": math.nan}, 2, 0, 1.5)
    document = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert list(document) == KEYS and len(set(KEYS)) == len(KEYS) and set(KEYS) >= PUBLISHED
    assert document["accuracy_matrix"] == [[0.5, None], [None, 0.75]]
    assert document["forgetting"] is None and document["forward_transfer"] is None
    assert document["tracking"] == {"uri": None, "run_id": None}
    assert document["class_accuracy"] == {} and document["confusion_matrix"] is None


def test_the_document_has_what_was_counted_beyond_the_matrix() -> None:
    history: list[dict[str, float | None]] = [
        {"average_accuracy": 0.5, "negative_flips": None},
        {"average_accuracy": 0.25, "negative_flips": 0.125},
    ]
    result = RunResult(
        "p", ["a", "b"], [[0.5, 0.0], [0.0, 0.5]], history[-1], 2, 0, 1.5, history=history,
        class_accuracy={0: 0.0, 3: 1.0}, confusion_matrix=[[0, 2], [0, 2]], task_labels="inferred",
    )  # fmt: skip
    document = json.loads(json.dumps(result.to_json()))
    assert document["negative_flips"] == 0.125 and document["history"]["negative_flips"] == [None, 0.125]
    assert document["history"]["average_accuracy"] == [0.5, 0.25] and document["history"]["memory_bytes"] == [None] * 2
    assert document["class_accuracy"] == {"0": 0.0, "3": 1.0} and document["task_labels"] == "inferred"
    assert document["confusion_matrix"] == [[0, 2], [0, 2]]


def test_the_package_offers_its_names_lazily() -> None:
    assert orchestrator.RunResult is RunResult
    assert set(orchestrator.__all__) <= set(dir(orchestrator))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        orchestrator.nonsense  # noqa: B018
