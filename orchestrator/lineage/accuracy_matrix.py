"""The score matrix of a lineage: its accuracies, or another score of the pipeline."""

from collections.abc import Iterable, Sequence

from orchestrator.lineage.commit import Commit
from orchestrator.lineage.measurements import ACCURACY, ACCURACY_RECORD, ScoreRecord, TestCount
from orchestrator.lineage.sparse_row import SparseRow, cells

Row = Sequence[float | None]


def accuracy_matrix(
    chain: Sequence[Commit], test_fingerprints: Sequence[str] | None = None, score: str | None = None
) -> tuple[list[Row], Row]:
    """R and b, accuracies in shares of 1, or another score in its own unit, from the commits of a chain.

    Args:
        chain: oldest first.
        test_fingerprints: the columns, in the order of the stream; None: the test sets of the last commit's row, by
            experience.
        score: its name; None: that of the last commit.

    Returns:
        R, where R[i][j] is the score of commit i's model on test set j, and b, where b[j] is that of the untrained
        model. None: not evaluated, such as an early model on an experience that was added to the stream much later.
        With `evaluate` in the pipeline file, the rows of R are sparse.
    """
    if test_fingerprints is None:
        test_fingerprints = columns(chain)
    name = chain_scores(chain)[0].name if score is None else score
    one = sparse_values if is_partial(chain) else values_of
    rows = [one(commit.row, test_fingerprints, name) for commit in chain]
    baseline: Row = [None] * len(test_fingerprints)
    for index, commit in enumerate(chain):
        if index:
            rows[index - 1] = filled(rows[index - 1], one(commit.previous, test_fingerprints, name))
        baseline = filled(baseline, values_of(commit.baseline, test_fingerprints, name))
    return rows, baseline


def chain_scores(chain: Sequence[Commit]) -> tuple[ScoreRecord, ...]:
    """What the last commit's test sets were scored by: first the score of the matrix, then further ones."""
    found = chain[-1].scores if chain else None
    return found or (ACCURACY_RECORD,)


def columns(chain: Sequence[Commit]) -> list[str]:
    """The test sets of the last commit's row, by experience; where it leaves some out, those of each commit."""
    last = sorted(chain[-1].row, key=lambda count: count.experience) if chain else []
    if is_partial(chain):
        # Each commit is evaluated on the test set of its own experience, by whose place they are sorted.
        own = [next((c.test for c in reversed(one.row) if c.experience == at), "") for at, one in enumerate(chain)]
        return own + [count.test for count in last if count.experience >= len(chain)]
    return [count.test for count in last]


def is_partial(chain: Sequence[Commit]) -> bool:
    """Whether the commits leave test sets out on purpose: `evaluate` in the pipeline file."""
    return bool(chain) and chain[-1].spec.get("evaluate") is not None


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


def sparse_values(counts: Iterable[TestCount], tests: Sequence[str], score: str = ACCURACY) -> SparseRow:
    """The score on those of the test sets that were evaluated, each at its own place."""
    here = (count for count in counts if count.experience < len(tests) and tests[count.experience] == count.test)
    return SparseRow({count.experience: count.value(score) for count in here}, len(tests))


def filled(row: Row, more: Row) -> Row:
    """`row`, with `more` where it has nothing."""
    if isinstance(row, SparseRow):
        return row.filled(dict(cells(more)))
    return [new if old is None else old for old, new in zip(row, more, strict=True)]
