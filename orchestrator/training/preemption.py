"""The notice that a node of the worker group is about to be taken away."""

from __future__ import annotations


def preempted() -> bool:
    """Whether this worker of Ray Train was told that a node of its group is being drained.

    `ray.train.get_preemption_info` asks all workers at once, which is too dear for every step; this looks at what the
    worker itself was told. False outside of Ray Train, and with a Ray that keeps it elsewhere.
    """
    try:
        from ray.train.v2._internal.execution.context import get_train_context

        return get_train_context().preemption_context.preemption_info is not None
    except (AttributeError, ImportError, RuntimeError):
        return False
