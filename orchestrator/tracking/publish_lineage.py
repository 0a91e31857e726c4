"""`everlearn publish`: write into MLflow those parts of a chain of commits that are missing there."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from orchestrator.tracking.logged_model import ExportFailed, MakeModel
from orchestrator.tracking.mlflow_client import tracking_errors
from orchestrator.tracking.run_view import FindReference, RunView

if TYPE_CHECKING:
    from orchestrator.lineage.commit import Commit
    from pipelines.config.schema import Pipeline


def publish(
    pipeline: Pipeline,
    chain: Sequence[Commit],
    *,
    stream_length: int,
    key: str | None = None,
    model: MakeModel | None = None,
    register: str | None = None,
    reference: FindReference | None = None,
    class_names: Sequence[str] | None = None,
    experience_names: Sequence[str | None] = (),
    warn: Callable[[str], None] = warnings.warn,
) -> str:
    """Make MLflow show a chain of commits, and return the run's id. Doing so again adds nothing.

    Args:
        chain: the commits, oldest first, from experience 0; at least one.
        stream_length: experiences in the stream. A shorter chain is shown as a run that was stopped.
        key: id of the commit that the run aims at, by which the run is found; of the last commit by default.
        model: gives the model of the last commit and an example of its input; None logs no model.
        register: name of a registered model of which the model becomes a version.
        reference: finds what joint training reaches.
        class_names: of the output units; None: they have numbers.
        experience_names: as far as they have names.
        warn: called with a message when the model could not be exported.

    Raises:
        TrackingError: MLflow cannot be used.
    """
    view = RunView(
        pipeline,
        key=key or chain[-1].id,
        stream_length=stream_length,
        reference=reference,
        class_names=class_names,
        experience_names=experience_names,
    )
    with tracking_errors(pipeline.tracking.uri):
        fresh = view.open(chain)
        view.write(chain)
        view.files(chain)
        try:
            view.model(chain, model, register)
        except ExportFailed as failure:
            warn(cannot_export(failure))
        if len(chain) == stream_length:
            view.status("FINISHED", chain)
        elif fresh:
            view.status("KILLED", chain)
    return str(view.run_id)


def cannot_export(failure: ExportFailed) -> str:
    """The warning about a model that MLflow cannot hold."""
    return f"tracking: the model is not in MLflow, torch.export cannot write it ({failure}); its commit holds it"
