"""Preemption notices: a node of the worker group will be drained soon."""

from __future__ import annotations


def preempted() -> bool:
    """Whether this worker of Ray Train has got the notice that a node of its group is being drained.

    `ray.train.get_preemption_info` asks all workers at once, which is too expensive at every step; this reads the
    notice that the worker itself has. False outside of Ray Train, and with a version of Ray that keeps it elsewhere.
    """
    try:
        from ray.train.v2._internal.execution.context import get_train_context

        return get_train_context().preemption_context.preemption_info is not None
    except (AttributeError, ImportError, RuntimeError):
        return False
