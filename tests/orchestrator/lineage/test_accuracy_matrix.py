"""The accuracy matrix of a chain."""

from typing import Any

from orchestrator.lineage.accuracy_matrix import accuracy_matrix
from orchestrator.lineage.commit import Commit
from tests.orchestrator.lineage.chains import make_commit


def _counts(**correct: int) -> list[dict[str, Any]]:
    return [
        {"experience": int(name[1:]), "test": name, "correct": count, "total": 10} for name, count in correct.items()
    ]


def _chain(*commits: dict[str, Any]) -> list[Commit]:
    chain: list[Commit] = []
    for index, fields in enumerate(commits):
        chain.append(make_commit(index, chain[-1] if chain else None, {}, **fields))
    return chain


def test_rows_and_baseline() -> None:
    chain = _chain(
        {"row": _counts(t0=9, t1=1), "baseline": _counts(t0=2, t1=3)},
        {"row": _counts(t0=5, t1=8)},
    )
    assert accuracy_matrix(chain) == ([[0.9, 0.1], [0.5, 0.8]], [0.2, 0.3])


def test_an_extended_stream() -> None:
    """The third experience came later: its first two models never saw its test set, except the last of them, and the
    untrained model was asked then."""
    chain = _chain(
        {"row": _counts(t0=9, t1=1), "baseline": _counts(t0=2, t1=3)},
        {"row": _counts(t0=5, t1=8)},
        {"row": _counts(t0=4, t1=6, t2=7), "previous": _counts(t2=1), "baseline": _counts(t2=0)},
    )
    matrix, baseline = accuracy_matrix(chain)
    assert matrix == [[0.9, 0.1, None], [0.5, 0.8, 0.1], [0.4, 0.6, 0.7]]
    assert baseline == [0.2, 0.3, 0.0]


def test_columns_are_the_streams() -> None:
    chain = _chain({"row": _counts(t0=9, t1=1, t2=2), "baseline": _counts(t1=3)})
    assert accuracy_matrix(chain, ["t2", "t0", "unknown", "t1"]) == (
        [[0.2, 0.9, None, 0.1]],
        [None, None, None, 0.3],
    )


def test_columns_are_in_the_order_of_experiences() -> None:
    assert accuracy_matrix(_chain({"row": _counts(t2=3, t0=1, t1=2)}))[0] == [[0.1, 0.2, 0.3]]


def test_equal_test_sets_are_one() -> None:
    row = [{"experience": j, "test": "same", "correct": 5, "total": 10} for j in range(2)]
    assert accuracy_matrix(_chain({"row": row}))[0] == [[0.5, 0.5]]


def test_an_empty_test_set_has_no_accuracy() -> None:
    row = [{"experience": 0, "test": "t0", "correct": 0, "total": 0}]
    assert accuracy_matrix(_chain({"row": row})) == ([[None]], [None])


def test_nothing() -> None:
    assert accuracy_matrix([]) == ([], [])
