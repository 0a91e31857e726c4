"""The result of a run, from its commits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.lineage.accuracy_matrix import accuracy_matrix, chain_scores
from orchestrator.lineage.capability_record import capability_documents
from orchestrator.lineage.chain_metrics import chain_metrics, class_accuracy, confusion_matrix
from orchestrator.result import RunResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.lineage.commit import Commit
    from orchestrator.tracking.run_tracker import Tracker
    from orchestrator.tracking.tracking_process import RemoteTracker
    from pipelines.config.schema import Pipeline
    from pipelines.data.streams import Stream


def summarise(
    pipeline: Pipeline,
    stream: Stream,
    chain: Sequence[Commit],
    reference: Sequence[float | None],
    *,
    reused: int,
    seconds: float,
    tracker: Tracker | RemoteTracker,
) -> RunResult:
    """What a finished run has to show.

    Args:
        reference: what joint training reaches, as far as it is known.
    """
    tests = [stream.test_fingerprint(index) for index in range(len(stream))]
    scores, (matrix, _) = chain_scores(chain), accuracy_matrix(chain, tests)
    history = chain_metrics(chain, tests, reference)
    return RunResult(
        pipeline=pipeline.name,
        lineage=[commit.id for commit in chain],
        score_matrix=matrix,
        metrics=history[-1],
        trained=len(chain) - reused,
        reused=reused,
        seconds=seconds,
        tracking={"uri": tracker.uri, "run_id": tracker.run_id},
        history=history,
        class_accuracy=class_accuracy(chain[-1]),
        confusion_matrix=confusion_matrix(chain[-1]),
        task_labels=chain[-1].task_labels,
        class_names=None if stream.unit_names is None else list(stream.unit_names),
        score=scores[0].name,
        capabilities=capability_documents(chain[-1]),
        matrices={score.name: accuracy_matrix(chain, tests, score.name)[0] for score in scores[1:]},
    )
