"""What makes two searches the same one, so that the same command resumes an earlier search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from orchestrator.lineage.canonical_json import digest

if TYPE_CHECKING:
    from pipelines.config.sections.tune_section import TuneSpec


def search_id(base: str, spec: TuneSpec, scores: Sequence[str] = ()) -> str:
    """16 hexadecimal digits of what decides the trials: more of them, or other resources, are the same search.

    Args:
        base: id of the last commit that the pipeline without its `tune` section would make.
        scores: what test sets are scored by; trials that are done have no others.
    """
    document = spec.model_dump(mode="json", include={"space", "search", "seeds", "scheduler"})
    if spec.search == "optuna" or spec.scheduler != "none":
        # Otherwise the objective only chooses among trials that would be the same.
        document |= {"metrics": list(spec.metrics), "modes": list(spec.modes)}
    if list(scores) not in ([], ["accuracy"]):
        document["scores"] = sorted(scores)
    return digest({"base": base, "tune": document})[:16]
