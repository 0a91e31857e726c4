"""A chain that grows: what is kept of it is what the whole of it gives."""

from typing import Any

import pytest

from orchestrator.lineage.accuracy_matrix import accuracy_matrix
from orchestrator.lineage.commit import Commit
from orchestrator.lineage.running_matrix import Course
from strategies.metrics import as_matrix, summary
from tests.orchestrator.lineage.chains import make_commit


def counts(tests: int, index: int) -> list[dict[str, Any]]:
    return [
        {"experience": j, "test": f"test {j}", "correct": (7 * index + 3 * j) % 10 * (j != 4), "total": 10 * (j != 4)}
        for j in range(tests)
    ]


def chain_of(length: int, short: int = 0, seed: int = 0) -> list[Commit]:
    """A stream of `length` experiences, the first `short` of which were trained when there were no more."""
    chain: list[Commit] = []
    for index in range(length):
        tests = short if index < short else length
        more: dict[str, Any] = {"baseline": counts(tests, 9)} if index == 0 else {}
        if short and index == short:
            more = {"baseline": counts(length, 9)[short:], "previous": counts(length, index - 1)[short:]}
        parent = chain[-1] if chain else None
        row = counts(tests, index + seed)
        spec = {"seed": seed}
        chain.append(make_commit(index, parent, {}, row=row, spec=spec, **more))
    return chain


def check(course: Course, chain: list[Commit], tests: list[str] | None = None) -> None:
    rows, baseline = accuracy_matrix(chain, tests)
    assert (course.rows, course.baseline) == (rows, baseline)
    R, b = as_matrix(rows), as_matrix([baseline])[0]
    for k in range(len(chain)):
        for name, value in summary(R, b, k).items():
            assert course.summaries[k][name] == (None if value is None else pytest.approx(value)), (name, k)


@pytest.mark.parametrize("short", [0, 2])
def test_step_by_step_as_at_once(short: int) -> None:
    chain, course = chain_of(6, short), Course()
    for length in range(1, len(chain) + 1):
        check(course.follow(chain[:length]), chain[:length])
    check(Course().follow(chain), chain)


def test_another_or_a_shorter_chain_is_taken_from_its_beginning() -> None:
    course = Course()
    for chain in (chain_of(5), chain_of(5)[:2], chain_of(5, seed=1), chain_of(6, short=5)):
        check(course.follow(chain), chain)


def test_the_columns_may_be_given() -> None:
    chain = chain_of(4)
    tests = [f"test {j}" for j in range(4)] + ["unknown"]
    check(Course(tests).follow(chain), chain, tests)
    # Where fewer are asked for than there are commits, what the metrics need is not known.
    assert Course(["test 0"]).follow(chain).summaries[3]["average_accuracy"] is None


def test_each_commit_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    take = Course._take
    monkeypatch.setattr(Course, "_take", lambda self, commit, index: (taken.append(index), take(self, commit, index)))
    chain, course = chain_of(6), Course()
    for length in range(1, 7):
        course.follow(chain[:length])
        course.follow(chain[:length])
    assert taken == list(range(6))


def test_experiences_with_equal_test_sets_have_a_column_each() -> None:
    """Two files of a folder that are equal to the byte have one fingerprint."""

    def row(*correct: int) -> list[dict[str, Any]]:
        return [{"experience": j, "test": "same", "correct": c, "total": 10} for j, c in enumerate(correct)]

    first = make_commit(0, None, {}, row=row(9, 2), baseline=row(1, 1)[:1])
    second = make_commit(1, first, {}, row=row(6, 8))
    course = Course()
    check(course.follow([first, second]), [first, second])
    assert course.rows == [[0.9, 0.2], [0.6, 0.8]]
    assert course.baseline == [0.1, 0.1]
    assert course.summaries[1]["average_accuracy"] == pytest.approx(0.7)
    assert course.summaries[1]["forgetting"] == pytest.approx(0.3)
    assert None not in [course.summaries[1][name] for name in ("backward_transfer", "forward_transfer")]
