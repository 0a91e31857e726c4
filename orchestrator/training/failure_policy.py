"""What a run does when workers, their nodes, or Ray Train's controller fail: try again, or give up. A pure function.

Failures are not limited while the run makes progress: a checkpoint or a commit that was written means that the workers
started next have less to do. `MAX_FAILURES` is how many failures in a row without progress are followed by another
attempt. Ray Train itself restarts workers that often (`worker_retries`), and so an attempt that ends because of its
workers stands for `MAX_FAILURES` + 1 failures. It does not restart its controller: that is one failure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

MAX_FAILURES = 3
# An elastic group waits for its placement a tenth as long as another group, and is tried ten times as often.
_ELASTIC_ATTEMPTS = 10

Cause = Literal["error", "observer", "cluster", "workers", "controller"]

_WHAT = {"workers": "worker failures", "controller": "failures of Ray Train's controller"}


@dataclass(frozen=True)
class Failure:
    """What is known when an attempt, one run of Ray Train, has ended before the end of the stream.

    Attributes:
        cause: `workers`: they, or the nodes that they were on, failed more often than Ray Train restarts them.
            `controller`: Ray Train's controller failed. `cluster`: the head of the Ray cluster does not answer.
            `error`: a worker met an error that another attempt would meet again. `observer`: a callback failed.
        progress: whether a checkpoint or a commit was written during the attempt.
        failures: consecutive failures without progress before the attempt.
        reason: the last failure in one line, for a person.
    """

    cause: Cause
    progress: bool = False
    failures: int = 0
    reason: str = ""


@dataclass(frozen=True)
class Decision:
    """What to do after a failure.

    Attributes:
        retry: whether to start another attempt.
        failures: consecutive failures without progress so far; of the next attempt's `Failure.failures`.
        reason: why, for a person.
    """

    retry: bool
    failures: int
    reason: str


def decide(failure: Failure, max_failures: int | None = None) -> Decision:
    """Whether to start another attempt.

    Args:
        max_failures: as many consecutive failures without progress are followed by another attempt.
    """
    limit = MAX_FAILURES if max_failures is None else max_failures
    if failure.cause not in ("workers", "controller"):
        # Another attempt would end in the same way, or there is nothing left to start it on.
        return Decision(False, failure.failures, failure.reason)
    if failure.progress:
        return Decision(True, 0, failure.reason)
    failures = failure.failures + (limit + 1 if failure.cause == "workers" else 1)
    if failures <= limit:
        return Decision(True, failures, failure.reason)
    counted = f"{failures} consecutive {_WHAT[failure.cause]} without a new checkpoint or commit"
    return Decision(False, failures, f"{counted}; the last: {failure.reason}")


def worker_retries() -> int:
    """How often Ray Train restarts the workers of an attempt."""
    return MAX_FAILURES


def start_retries(elastic: bool) -> int:
    """How often Ray Train tries again to start workers that find no place in the cluster."""
    return (MAX_FAILURES + 1) * (_ELASTIC_ATTEMPTS if elastic else 1) - 1
