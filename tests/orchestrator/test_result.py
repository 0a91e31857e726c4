import json
import math

import pytest

import orchestrator
from orchestrator.result import RunResult

KEYS = [
    "pipeline",
    "lineage",
    "accuracy_matrix",
    "average_accuracy",
    "backward_transfer",
    "forward_transfer",
    "forgetting",
    "learning_accuracy",
    "average_incremental_accuracy",
    "trained",
    "reused",
    "seconds",
    "tracking",
]


def test_the_document_has_every_key_in_order_and_is_json() -> None:
    matrix: list[list[float | None]] = [[0.5, None], [math.nan, 0.75]]
    result = RunResult("p", ["a", "b"], matrix, {"average_accuracy": 0.5, "forgetting": math.nan}, 2, 0, 1.5)
    document = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert list(document) == KEYS
    assert document["accuracy_matrix"] == [[0.5, None], [None, 0.75]]
    assert document["forgetting"] is None and document["forward_transfer"] is None
    assert document["tracking"] == {"uri": None, "run_id": None}


def test_the_package_offers_its_names_lazily() -> None:
    assert orchestrator.RunResult is RunResult
    assert set(orchestrator.__all__) <= set(dir(orchestrator))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        orchestrator.nonsense  # noqa: B018
