"""The state of a trial, as it is reported while the trial runs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.lineage.chain_metrics import course_metrics
from orchestrator.lineage.joint_reference import Reference
from orchestrator.lineage.running_matrix import Course
from orchestrator.tuning.trial_score import deviation, mean

if TYPE_CHECKING:
    from orchestrator.lineage.commit import Commit
    from orchestrator.tuning.train_trial import Job


class TrialState:
    """Follows the chains of commits of a trial's jobs, one for each of its seeds."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._length = len(jobs[0].plan)
        self._references = [Reference(job.lineage) for job in jobs]
        self._courses = [Course(job.tests) for job in jobs]

    def after(self, chains: Sequence[Sequence[Commit]], end: int) -> dict[str, Any]:
        """The values that `TrialRecord.take` expects.

        Args:
            chains: of each job, oldest commit first, at least `end` of them.
            end: experiences that count.
        """
        each = zip(chains, self._courses, self._references, strict=True)
        values = [
            course_metrics(course.follow(chain[:end]), chain[:end], reference(chain[:end]), end - 1)[-1]
            for chain, course, reference in each
        ]
        return {
            "of": self._length,
            "metrics": mean(values),
            "deviation": deviation(values),
            "values": values,
            "lineage": [[commit.id for commit in chain[:end]] for chain in chains],
            "time": time.time_ns() // 1_000_000,
        }
