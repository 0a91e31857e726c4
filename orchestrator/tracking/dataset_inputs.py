"""The data of a run as datasets in MLflow: one for each experience, known by the hash of its content."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from orchestrator.redact import redact

if TYPE_CHECKING:
    from orchestrator.lineage.commit import Commit
    from pipelines.config.schema import Pipeline

_DIGEST = 36
"""Most characters that MLflow keeps of a digest."""


def dataset_input(kinds: Any, pipeline: Pipeline, commit: Commit, name: str) -> Any:
    """The training data of a commit's experience as MLflow's `DatasetInput`.

    The digest is the first half of its fingerprint, the SHA-256 of inputs, ids and targets, of which the profile has
    all.

    Args:
        kinds: where MLflow's entities are.
        name: of the experience.
    """
    experience = commit.experience
    source = {"dataset": pipeline.stream.dataset.name, **_named(pipeline)}
    profile = {"samples": experience.samples, "classes": list(experience.classes), "sha256": experience.fingerprint}
    data = kinds.Dataset(
        name=f"{pipeline.name} {name}"[:500],
        digest=experience.fingerprint[: _DIGEST - 4],
        source_type="everlearn",
        source=json.dumps(source),
        schema=json.dumps({"classes": list(experience.classes)}),
        profile=json.dumps(profile),
    )
    return kinds.DatasetInput(data, [kinds.InputTag("mlflow.data.context", "training")])


def _named(pipeline: Pipeline) -> dict[str, str]:
    """Where the data lies, without secrets."""
    options = pipeline.stream.dataset.options
    return {key: redact(str(options[key])) for key in ("path", "folder") if isinstance(options.get(key), str)}
