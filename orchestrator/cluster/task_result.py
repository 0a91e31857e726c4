"""What a task of a Ray cluster gave: its errors are those of the data, or say that it failed."""

from __future__ import annotations

from typing import Any


def task_result(reference: Any, what: str) -> Any:
    """The value of a task.

    Args:
        what: the task does, for messages: `shuffles`.

    Raises:
        PipelineError: that the task raised.
        ClusterError: it failed, and so did its repetitions.
    """
    import ray

    from orchestrator.errors import ClusterError
    from pipelines.config.pipeline_errors import PipelineError

    try:
        return ray.get(reference)
    except ray.exceptions.RayError as error:
        cause = getattr(error, "cause", None)
        if isinstance(cause, PipelineError):
            raise cause from None
        reason = str(cause or error).strip().partition("\n")[0][:300]
        raise ClusterError(f"a task that {what} failed: {reason}") from error
