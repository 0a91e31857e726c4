"""Ray Tune's schedulers that stop trials early."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipelines.config.sections.tune_section import TuneSpec

# Forgetting shows from the second experience on: no trial is judged before.
_GRACE = 2


def early_stopping(spec: TuneSpec, length: int) -> Any:
    """The scheduler that `tune.scheduler` names; None where no trial is to be stopped.

    Args:
        length: experiences of the stream.
    """
    if spec.scheduler == "none" or length <= _GRACE:
        return None
    from ray.tune.schedulers import AsyncHyperBandScheduler, MedianStoppingRule

    objective = {"metric": spec.metrics[0], "mode": spec.modes[0], "time_attr": "training_iteration"}
    if spec.scheduler == "median":
        return MedianStoppingRule(**objective, grace_period=_GRACE, min_samples_required=3)
    return AsyncHyperBandScheduler(**objective, max_t=length, grace_period=_GRACE, reduction_factor=2)
