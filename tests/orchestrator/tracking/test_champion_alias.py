"""The registered model and its alias follow the decisions, and are repaired."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import mlflow
import pytest

from orchestrator.errors import TrackingError
from orchestrator.lineage.decisions import Decision, newest_first
from orchestrator.lineage.lineage import Lineage
from orchestrator.storage.folder_store import FolderStore
from orchestrator.tracking.champion_alias import ALIAS, is_tracked, show_champion
from orchestrator.tracking.logged_model import MakeModel
from orchestrator.tracking.mlflow_client import connect
from orchestrator.updates.promotion import promote, rollback
from pipelines.config.load import load_text
from pipelines.config.schema import Pipeline
from tests.orchestrator.lineage.chains import write_chain
from tests.orchestrator.tracking.models import small_model, wayward_model
from tests.orchestrator.tracking.stores import rows

TEXT = "name: split-digits\nstream: {dataset: digits, experiences: 2}\nmodel: mlp\n"


class Told(NamedTuple):
    pipeline: Pipeline
    lineage: Lineage
    commits: list[str]


@pytest.fixture
def told(uri: str, tmp_path: Path) -> Told:
    """Two commits, each with the run of its experience."""
    pipeline = load_text(TEXT + f"tracking: {{uri: '{uri}'}}\n")
    lineage = Lineage(FolderStore(tmp_path / "store"), "split-digits")
    commits = [commit.id for commit in write_chain(lineage, 2)]
    client = connect(uri)
    experiment = client.create_experiment("split-digits", artifact_location=(tmp_path / "artifacts").as_uri())
    for index, commit in enumerate(commits):
        tags = {"everlearn.commit": commit, "everlearn.pipeline": "split-digits", "everlearn.experience": str(index)}
        client.create_run(experiment, tags=tags)
    return Told(pipeline, lineage, commits)


def decisions(lineage: Lineage) -> list[Decision]:
    return list(newest_first(lineage))[::-1]


def made(_: str) -> MakeModel:
    return small_model


def not_made(_: str) -> MakeModel | None:
    return None


def test_the_alias_follows_promotions_and_rollbacks_and_is_repaired(uri: str, told: Told, database: Path) -> None:
    pipeline, lineage, commits = told
    said: list[str] = []
    assert show_champion(pipeline, [], made, warn=said.append) is None
    promote(lineage, commits[0], force=True, reason="the first")
    assert show_champion(pipeline, decisions(lineage), made, warn=said.append) == "1"
    promote(lineage, commits[1], force=True, reason="better")
    assert show_champion(pipeline, decisions(lineage), made, warn=said.append) == "2"
    rollback(lineage, reason="worse")
    assert show_champion(pipeline, decisions(lineage), not_made, warn=said.append) == "1"
    client = connect(uri)
    model = client.get_registered_model("split-digits")
    assert str(model.aliases[ALIAS]) == "1" and model.tags["everlearn.commit"] == commits[0]
    good, bad = (client.get_model_version("split-digits", number) for number in ("1", "2"))
    assert (good.tags["everlearn.bad"], bad.tags["everlearn.bad"]) == ("false", "true")
    assert "worse" in good.tags["everlearn.reason"] and "better" in bad.tags["everlearn.reason"]
    before = rows(database)
    assert show_champion(pipeline, decisions(lineage), not_made, warn=said.append) == "1"
    assert rows(database) == before and said == []
    client.set_registered_model_alias("split-digits", ALIAS, "2")
    client.set_registered_model_tag("split-digits", "everlearn.commit", "nonsense")
    show_champion(pipeline, decisions(lineage), not_made, warn=said.append)
    model = client.get_registered_model("split-digits")
    assert str(model.aliases[ALIAS]) == "1" and model.tags["everlearn.commit"] == commits[0]
    mlflow.set_tracking_uri(uri)
    try:
        assert mlflow.pytorch.load_model(f"models:/split-digits@{ALIAS}") is not None
    finally:
        mlflow.set_tracking_uri(None)


def test_verdicts_are_tags_of_the_runs(uri: str, told: Told) -> None:
    pipeline, lineage, commits = told
    promote(lineage, commits[0])
    show_champion(pipeline, decisions(lineage), not_made, warn=lambda text: None)
    client = connect(uri)
    experiment = client.get_experiment_by_name("split-digits")
    found = client.search_runs([experiment.experiment_id])
    tags = {run.data.tags["everlearn.commit"]: run.data.tags.get("everlearn.verdict") for run in found}
    assert tags == {
        commits[0]: "passed (decision 1): there is no champion to compare it with",
        commits[1]: None,
    }


@pytest.mark.parametrize(("make", "text"), [(not_made, "is not in MLflow"), (lambda _: wayward_model, "torch.export")])
def test_a_model_that_is_not_there_is_warned_of(told: Told, make: Callable[[str], MakeModel | None], text: str) -> None:
    said: list[str] = []
    promote(told.lineage, told.commits[0])
    assert show_champion(told.pipeline, decisions(told.lineage), make, warn=said.append) is None
    assert len(said) == 1 and text in said[0]


def test_without_runs_there_is_nothing_to_follow(told: Told, tmp_path: Path, make_database: Callable[[], Path]) -> None:
    promote(told.lineage, told.commits[0])
    empty = load_text(TEXT + f"tracking: {{uri: 'sqlite:///{make_database()}'}}\n")
    said: list[str] = []
    assert is_tracked(empty)
    assert show_champion(empty, decisions(told.lineage), made, warn=said.append) is None
    assert "MLflow has no run with commit" in said[0]
    assert not is_tracked(load_text(TEXT + f"tracking: {{uri: 'sqlite:///{tmp_path}/none.db'}}\n"))
    nowhere = load_text(TEXT + "tracking: {uri: 'http://127.0.0.1:9'}\n")
    with pytest.raises(TrackingError):
        show_champion(nowhere, decisions(told.lineage), made, warn=said.append)
