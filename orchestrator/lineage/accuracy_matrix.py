"""The score matrix of a lineage: its accuracies, or another score of the pipeline."""

from collections.abc import Iterable, Sequence

from orchestrator.lineage.commit import Commit
from orchestrator.lineage.measurements import ACCURACY, ACCURACY_RECORD, ScoreRecord, TestCount

Row = list[float | None]


def accuracy_matrix(
    chain: Sequence[Commit], test_fingerprints: Sequence[str] | None = None, score: str | None = None
) -> tuple[list[list[float | None]], list[float | None]]:
    """R and b, accuracies in shares of 1, or another score in its own unit, from the commits of a chain.

    Args:
        chain: oldest first.
        test_fingerprints: the columns, in the order of the stream; None: the test sets of the last commit's row, by
            experience.
        score: its name; None: that of the last commit.

    Returns:
        R, where R[i][j] is the score of commit i's model on test set j, and b, where b[j] is that of the untrained
        model. None: not evaluated, such as an early model on an experience that was added to the stream much later.
    """
    if test_fingerprints is None:
        test_fingerprints = columns(chain)
    name = chain_scores(chain)[0].name if score is None else score
    rows = [values_of(commit.row, test_fingerprints, name) for commit in chain]
    baseline: Row = [None] * len(test_fingerprints)
    for index, commit in enumerate(chain):
        if index:
            rows[index - 1] = filled(rows[index - 1], values_of(commit.previous, test_fingerprints, name))
        baseline = filled(baseline, values_of(commit.baseline, test_fingerprints, name))
    return rows, baseline


def chain_scores(chain: Sequence[Commit]) -> tuple[ScoreRecord, ...]:
    """What the last commit's test sets were scored by: first the score of the matrix, then further ones."""
    found = chain[-1].scores if chain else None
    return found or (ACCURACY_RECORD,)


def columns(chain: Sequence[Commit]) -> list[str]:
    """The test sets of the last commit's row, by experience."""
    last = sorted(chain[-1].row, key=lambda count: count.experience) if chain else []
    return [count.test for count in last]


def values_of(counts: Iterable[TestCount], tests: Sequence[str], score: str = ACCURACY) -> Row:
    """The score on each of the test sets, by place; None for an empty one and for one that was not evaluated.

    Experiences whose test sets are equal have one fingerprint: each takes its own count, or, without one, that of an
    equal test set.
    """
    own: dict[tuple[int, str], float | None] = {}
    equal: dict[str, float | None] = {}
    for count in counts:
        own[count.experience, count.test] = equal[count.test] = count.value(score)
    return [own.get((place, test), equal.get(test)) for place, test in enumerate(tests)]


def filled(row: Row, more: Row) -> Row:
    """`row`, with `more` where it has nothing."""
    return [new if old is None else old for old, new in zip(row, more, strict=True)]
