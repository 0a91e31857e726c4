"""The accuracy matrix of a lineage."""

from collections.abc import Iterable, Sequence

from orchestrator.lineage.commit import Commit, TestCount


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
    rows = [accuracies(commit.row) for commit in chain]
    baseline: dict[str, float | None] = {}
    for index, commit in enumerate(chain):
        if index:
            rows[index - 1] = accuracies(commit.previous) | rows[index - 1]
        baseline = accuracies(commit.baseline) | baseline
    return [[row.get(test) for test in test_fingerprints] for row in rows], [baseline.get(t) for t in test_fingerprints]


def columns(chain: Sequence[Commit]) -> list[str]:
    """The test sets of the last commit's row, by experience."""
    last = sorted(chain[-1].row, key=lambda count: count.experience) if chain else []
    return [count.test for count in last]


def accuracies(counts: Iterable[TestCount]) -> dict[str, float | None]:
    """Accuracy by the test set's fingerprint; None for an empty one."""
    return {count.test: count.accuracy for count in counts}
