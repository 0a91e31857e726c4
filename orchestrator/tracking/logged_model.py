"""The model of a commit in MLflow: exported once, loadable with `mlflow.pytorch.load_model`, never pickled."""

from __future__ import annotations

import contextlib
import importlib
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.tracking.exported_model import export_model, write_description
from orchestrator.tracking.mlflow_client import entities, is_server, together
from strategies.api.uncollected_imports import uncollected

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from torch import Tensor, nn

MakeModel = Callable[[], "tuple[nn.Module, Tensor]"]
"""Gives the trained model and an example of its input, (2 or more, *shape)."""

NAME = "model"
# torch.export fixes a dimension whose size is 1 in the example. Two samples are enough to avoid that.
_FEWEST, _MOST = 2, 4
# What torch.export imports when it is first called.
_EXPORT = ("torch.export._trace", "torch.export.passes", "sympy.tensor.tensor")


class ExportFailed(Exception):
    """The model cannot be written as a graph, as some of a user's own models cannot."""


@dataclass(frozen=True)
class Owner:
    """The owner of a model: its run and commit, the step of its metrics, and further tags."""

    experiment_id: str
    run_id: str
    commit: str
    step: int
    tags: Mapping[str, str]


def log_model(
    client: MlflowClient, owner: Owner, make: MakeModel, also: Callable[[str], None] = lambda model: None
) -> str:
    """Log the model unless it is there, and return its id in MLflow.

    Args:
        also: writes what belongs to the model, by its id: in the same transaction, where the client has them.

    Raises:
        ExportFailed: nothing was logged.
        MlflowException: the store cannot be used; another call continues with the same entry.
    """
    found = _find(client, owner)
    if found is not None and str(found.status) == "READY":
        with together(client):
            also(str(found.model_id))
        return str(found.model_id)
    with tempfile.TemporaryDirectory(prefix="everlearn-model-") as folder:
        path = Path(folder) / NAME
        content = _export(path, make)
        with together(client):
            if found is None:
                found = client.create_logged_model(
                    owner.experiment_id, NAME, owner.run_id, {**owner.tags, "everlearn.commit": owner.commit}
                )
            write_description(
                path, content, model_id=found.model_id, run_id=owner.run_id, artifact_path=found.artifact_location
            )
            client.log_model_artifacts(found.model_id, str(path))
            client.log_outputs(owner.run_id, [entities(client).LoggedModelOutput(found.model_id, owner.step)])
            # After its files, so that a model with the status READY is complete.
            client.finalize_logged_model(found.model_id, "READY")
            also(str(found.model_id))
    return str(found.model_id)


def warm_up(*, rehearse: bool = False) -> None:
    """Load what figures and an exported model need, so that the end of a run does not wait for it.

    Beside a thread that trains this only imports: a layer that is made here, or an export, would draw from the random
    numbers that the other thread has just seeded for the first weights of its model or for dropout, and
    `torch.compiler.is_compiling()` would be true there, too.

    Args:
        rehearse: nothing trains in this process: draw and export something, too, which loads the rest.
    """
    with uncollected(keep=rehearse):
        import matplotlib.backends.backend_agg
        import matplotlib.figure  # noqa: F401

        # If any of this fails, logging the model fails too, and that is reported.
        for name in _EXPORT:
            with contextlib.suppress(Exception):
                importlib.import_module(name)
        if rehearse:
            _rehearse()


def _rehearse() -> None:
    from torch import nn, zeros

    from orchestrator.tracking.metric_figure import metrics_figure
    from orchestrator.tracking.score_curves import curves_figure

    # The first drawing reads fonts.
    metrics_figure([{"average_accuracy": 1.0}], title="")
    curves_figure([[1.0]], title="")
    with contextlib.suppress(Exception), tempfile.TemporaryDirectory(prefix="everlearn-model-") as folder:
        export_model(Path(folder) / NAME, nn.Sequential(nn.Linear(2, 2), nn.ReLU()).eval(), zeros(2, 2))


def find_model(client: MlflowClient, owner: Owner) -> str | None:
    """The id of the commit's model if it is logged."""
    found = _find(client, owner)
    return str(found.model_id) if found is not None and str(found.status) == "READY" else None


def register_model(client: MlflowClient, name: str, model_id: str, owner: Owner) -> None:
    """Make the model a version of the registered model `name`, unless it is one."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    versions = client.search_model_versions(f"name = '{name}'")
    if all(version.tags.get("everlearn.commit") != owner.commit for version in versions):
        tags = {**owner.tags, "everlearn.commit": owner.commit}
        # A database's registry looks `models:/...` up in the process's own tracking store, which may be another one.
        by_name = is_server(str(client.tracking_uri))
        source = f"models:/{model_id}" if by_name else client.get_logged_model(model_id).artifact_location
        client.create_model_version(name, source, owner.run_id, tags, model_id=model_id)


def _find(client: MlflowClient, owner: Owner) -> Any:
    models = client.search_logged_models([owner.experiment_id], f"source_run_id = '{owner.run_id}'")
    mine = [model for model in models if model.tags.get("everlearn.commit") == owner.commit]
    return max(mine, key=lambda model: str(model.status) == "READY", default=None)


def _export(path: Path, make: MakeModel) -> dict[str, Any]:
    import torch

    from orchestrator.prediction.predicting import Predicting, manner

    model, example = make()
    model = model.to("cpu").eval()
    table = isinstance(model, Predicting) and manner(model).inputs.preprocessing is not None
    example = example[:_MOST].detach().cpu().contiguous()
    if len(example) < _FEWEST:
        example = torch.cat([example, example])
    try:
        if isinstance(model, Predicting) and table:
            from orchestrator.tracking.table_export import export_table_model

            return export_table_model(path, model, manner(model))
        return export_model(path, model, example)
    except Exception as error:
        text = " ".join(str(error).split())
        raise ExportFailed(f"{type(error).__name__}: {text[:160]}") from error
