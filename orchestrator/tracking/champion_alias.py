"""The champion as MLflow shows it: a version of the registered model that is called as the pipeline, with the alias
`champion`. The alias is set from the decisions; running this again repairs it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.lineage.decisions import CHAMPION, Decision
from orchestrator.tracking.logged_model import ExportFailed, MakeModel, Owner, find_model, log_model, register_model
from orchestrator.tracking.mlflow_client import connect, database_file, tracking_errors
from orchestrator.tracking.publish_lineage import cannot_export
from orchestrator.tracking.run_view import COMMIT, EXPERIENCE, PIPELINE

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from pipelines.config.schema import Pipeline

ALIAS = CHAMPION
DECISIONS, BAD, VERDICT = "everlearn.decisions", "everlearn.bad", "everlearn.verdict"
_LONGEST = 4000


def register_models(
    pipeline: Pipeline,
    commits: Sequence[str],
    make: Callable[[str], MakeModel | None],
    *,
    warn: Callable[[str], object],
) -> list[str]:
    """Let the model of each commit be a version of the registered model that is called as the pipeline.

    Args:
        commits: ids, oldest first; MLflow shows their runs.
        make, warn: as for `show_champion`.

    Returns:
        The versions; commits whose models cannot be exported have none.

    Raises:
        TrackingError: MLflow cannot be used.
    """
    found: list[str | None] = []
    with tracking_errors(pipeline.tracking.uri):
        client = connect(pipeline.tracking.uri)
        for commit in commits:
            known = version_of(client, pipeline.name, commit)
            found.append(known or registered_version(client, pipeline, commit, make, warn))
    return [version for version in found if version is not None]


def is_tracked(pipeline: Pipeline) -> bool:
    """Whether there is an MLflow to update: a database in a file that does not exist holds no runs."""
    file = database_file(pipeline.tracking.uri)
    return file is None or file.exists()


def show_champion(
    pipeline: Pipeline,
    decisions: Sequence[Decision],
    make: Callable[[str], MakeModel | None],
    *,
    warn: Callable[[str], object],
) -> str | None:
    """Let the alias `champion` of the registered model name the champion, and tag what was decided. Again: no change.

    The commit's model must be in a run, or be made here. Where it is not, a warning says so.

    Args:
        decisions: of the pipeline, oldest first; what MLflow has of those before the first stays as it is.
        make: gives the model of a commit, by its id; None: it cannot be made here.
        warn: called with sentences.

    Returns:
        The version that has the alias; None where there is no champion, or its model is not in MLflow.

    Raises:
        TrackingError: MLflow cannot be used.
    """
    champion = decisions[-1].state.champion if decisions else None
    if champion is None:
        return None
    with tracking_errors(pipeline.tracking.uri):
        client = connect(pipeline.tracking.uri)
        version = version_of(client, pipeline.name, champion)
        if version is None:
            version = registered_version(client, pipeline, champion, make, warn)
        _tag_decisions(client, pipeline, decisions)
        if version is None:
            return None
        model = client.get_registered_model(pipeline.name)
        if str(model.aliases.get(ALIAS)) != version:
            client.set_registered_model_alias(pipeline.name, ALIAS, version)
        _tag_versions(client, pipeline.name, decisions)
        # Written last: readers take this tag as the sign that everything else was written.
        wanted = {COMMIT: champion, DECISIONS: _mark(decisions[-1])}
        for key, value in wanted.items():
            if model.tags.get(key) != value:
                client.set_registered_model_tag(pipeline.name, key, value)
    return version


def shown(pipeline: Pipeline) -> str | None:
    """Up to which decision MLflow follows, for `is_shown`; None: that is not known.

    Raises:
        TrackingError: MLflow cannot be used.
    """
    with tracking_errors(pipeline.tracking.uri):
        models = connect(pipeline.tracking.uri).search_registered_models(f"name = '{pipeline.name}'")
    return next((model.tags.get(DECISIONS) for model in models if model.name == pipeline.name), None)


def is_shown(decision: Decision, known: str | None) -> bool:
    """Whether a decision is the last that MLflow shows: by its number and its checksum."""
    return known == _mark(decision)


def _mark(decision: Decision) -> str:
    return f"{decision.number}:{decision.checksum}"


def version_of(client: MlflowClient, name: str, commit: str) -> str | None:
    """The version of a registered model that is the model of a commit."""
    found = client.search_model_versions(f"name = '{name}'")
    mine = [int(version.version) for version in found if version.tags.get(COMMIT) == commit]
    return str(min(mine)) if mine else None


def registered_version(
    client: MlflowClient,
    pipeline: Pipeline,
    commit: str,
    make: Callable[[str], MakeModel | None],
    warn: Callable[[str], object],
) -> str | None:
    """Make the model of a commit a version of the registered model; arguments as `show_champion`."""
    runs = _runs(client, pipeline, commit)
    if not runs:
        warn(f"tracking: MLflow has no run with commit {commit[:12]}: `everlearn publish FILE` completes it")
        return None
    owners = [
        Owner(run.info.experiment_id, run.info.run_id, commit, _step(run), {PIPELINE: pipeline.name}) for run in runs
    ]
    found = [(owner, model) for owner in owners if (model := find_model(client, owner)) is not None]
    if not found:
        maker = make(commit)
        if maker is None:
            warn(f"tracking: the model of commit {commit[:12]} is not in MLflow: `everlearn publish FILE` completes it")
            return None
        try:
            found = [(owners[0], log_model(client, owners[0], maker))]
        except ExportFailed as failure:
            warn(cannot_export(failure))
            return None
    owner, model_id = found[0]
    register_model(client, pipeline.name, model_id, owner)
    return version_of(client, pipeline.name, commit)


def _runs(client: MlflowClient, pipeline: Pipeline, commit: str) -> list[Any]:
    """The runs that show a commit: that of its experience first, then those that end with it."""
    experiment = client.get_experiment_by_name(pipeline.tracking.experiment)
    if experiment is None:
        return []
    query = f"tags.`{COMMIT}` = '{commit}' and tags.`{PIPELINE}` = '{pipeline.name}'"
    runs = client.search_runs([experiment.experiment_id], query)
    return sorted(runs, key=lambda run: (EXPERIENCE not in run.data.tags, run.info.start_time, run.info.run_id))


def _step(run: Any) -> int:
    return int(run.data.tags.get(EXPERIENCE, 0))


def _tag_decisions(client: MlflowClient, pipeline: Pipeline, decisions: Sequence[Decision]) -> None:
    """The newest verdict on each commit as a tag of the runs that show it; runs that are not there have none."""
    for commit, decision in {d.commit: d for d in decisions if d.kind == "verdict"}.items():
        text = f"{decision.outcome} (decision {decision.number}): {decision.reason}"[:_LONGEST]
        for run in _runs(client, pipeline, commit):
            if run.data.tags.get(VERDICT) != text:
                client.set_tag(run.info.run_id, VERDICT, text)


def _tag_versions(client: MlflowClient, name: str, decisions: Sequence[Decision]) -> None:
    """On each version, why it became the champion, and whether it was rolled back."""
    moves = {d.commit: d for d in decisions if d.kind in ("promotion", "rollback")}
    bad = decisions[-1].state.bad
    for version in client.search_model_versions(f"name = '{name}'"):
        commit = version.tags.get(COMMIT)
        wanted: dict[str, str] = {BAD: "true" if commit in bad else "false"} if commit in {*moves, *bad} else {}
        if commit in moves:
            move = moves[commit]
            wanted["everlearn.decision"] = str(move.number)
            wanted["everlearn.reason"] = f"{move.kind} by {move.by}, {move.at}: {move.reason}"[:_LONGEST]
        for key, value in wanted.items():
            if version.tags.get(key) != value:
                client.set_model_version_tag(name, version.version, key, value)
