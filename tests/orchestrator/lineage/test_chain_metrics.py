"""The metrics of a chain of commits, counted by hand."""

import pytest

from orchestrator.lineage.chain_metrics import chain_metrics, class_accuracy, confusion_matrix
from orchestrator.lineage.commit import Commit
from tests.orchestrator.lineage.chains import make_commit

QUALITY = {
    "flips": None,
    "classes": [[0, 4, 5], [1, 3, 5], [2, 0, 0]],
    "confusion": [[0, 1, 1], [1, 2, 2]],
    "calibration": [[10, 4, 5.0], [90, 81, 90.0]],
}


def chain() -> list[Commit]:
    first = make_commit(0, None, {}, quality=QUALITY, timings={"learn": 2.0, "evaluate": 9.0})
    size = {"parameters": 10, "bytes": 40, "memory": 7}
    second = make_commit(
        1, first, {}, quality={**QUALITY, "flips": [2]}, size=size, timings={"learn": 1.0, "consolidate": 0.5}
    )
    return [first, second]


def test_after_each_commit_the_metrics_of_the_stream_so_far() -> None:
    first, second = chain_metrics(chain())
    assert (first["average_accuracy"], first["forgetting"]) == (1.0, None)
    assert (second["average_accuracy"], second["forgetting"]) == (pytest.approx(0.95), pytest.approx(0.1))
    assert (first["training_seconds"], second["training_seconds"]) == (2.0, 1.5)
    assert (first["model_parameters"], second["model_parameters"], second["memory_bytes"]) == (None, 10, 7)
    # Two of ten samples of experience 0 flipped.
    assert (first["negative_flips"], second["negative_flips"]) == (None, pytest.approx(0.2))
    # 10 samples are 0.1 too sure, and 90 are 0.1 too sure.
    assert second["expected_calibration_error"] == pytest.approx(0.1)
    # Class 2 has no samples, but two are predicted to be of it.
    assert (second["balanced_accuracy"], second["worst_recall"]) == (pytest.approx(0.7), 0.6)
    assert second["macro_f1"] == pytest.approx((8 / 9 + 6 / 9 + 0) / 3)


def test_intransigence_needs_what_joint_training_reaches() -> None:
    made = chain()
    assert [metrics["intransigence"] for metrics in chain_metrics(made)] == [None, None]
    found = [metrics["intransigence"] for metrics in chain_metrics(made, reference=[0.9, 0.8])]
    assert found == [pytest.approx(-0.1), pytest.approx(-0.15)]
    assert chain_metrics(made, reference=[0.9])[1]["intransigence"] is None


def test_accuracy_and_confusion_by_class() -> None:
    commit = chain()[0]
    assert class_accuracy(commit) == {0: 0.8, 1: 0.6}
    assert confusion_matrix(commit) == [[4, 1, 0], [0, 3, 2], [0, 0, 0]]
    uncounted = make_commit(0, None, {})
    assert class_accuracy(uncounted) == {} and confusion_matrix(uncounted) is None
