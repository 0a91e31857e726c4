"""The accuracy matrix of a lineage."""

from collections.abc import Iterable, Sequence

from orchestrator.lineage.commit import Commit, TestCount

Row = list[float | None]


def accuracy_matrix(
    chain: Sequence[Commit], test_fingerprints: Sequence[str] | None = None
) -> tuple[list[list[float | None]], list[float | None]]:
    """R and b, in shares of 1, from what the commits of a chain counted.

    Args:
        chain: oldest first.
        test_fingerprints: the columns, in the order of the stream; None: the test sets of the last commit's row, by
            experience.

    Returns:
        R, where R[i][j] is the accuracy of commit i's model on test set j, and b, where b[j] is that of the untrained
        model. None: not evaluated, such as an early model on an experience that was added to the stream much later.
    """
    if test_fingerprints is None:
        test_fingerprints = columns(chain)
    rows = [accuracies(commit.row, test_fingerprints) for commit in chain]
    baseline: Row = [None] * len(test_fingerprints)
    for index, commit in enumerate(chain):
        if index:
            rows[index - 1] = filled(rows[index - 1], accuracies(commit.previous, test_fingerprints))
        baseline = filled(baseline, accuracies(commit.baseline, test_fingerprints))
    return rows, baseline


def columns(chain: Sequence[Commit]) -> list[str]:
    """The test sets of the last commit's row, by experience."""
    last = sorted(chain[-1].row, key=lambda count: count.experience) if chain else []
    return [count.test for count in last]


def accuracies(counts: Iterable[TestCount], tests: Sequence[str]) -> Row:
    """Accuracy on each of the test sets, by place; None for an empty one and for one that was not counted.

    Experiences whose test sets are equal have one fingerprint: each takes its own count, or, without one, that of an
    equal test set.
    """
    own: dict[tuple[int, str], float | None] = {}
    equal: dict[str, float | None] = {}
    for count in counts:
        own[count.experience, count.test] = equal[count.test] = count.accuracy
    return [own.get((place, test), equal.get(test)) for place, test in enumerate(tests)]


def filled(row: Row, more: Row) -> Row:
    """`row`, with `more` where it has nothing."""
    return [new if old is None else old for old, new in zip(row, more, strict=True)]
