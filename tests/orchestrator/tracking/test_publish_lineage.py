"""Publishing a chain of commits: complete, and twice without harm.

Covers: `orchestrator/tracking/baseline_runs.py`, `orchestrator/tracking/dataset_inputs.py`
Covers: `orchestrator/tracking/run_files.py`
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from orchestrator.errors import TrackingError
from orchestrator.tracking.metric_points import child_points, loss_points, parent_points
from orchestrator.tracking.mlflow_client import connect
from orchestrator.tracking.publish_lineage import publish
from tests.orchestrator.tracking.chains import TESTED, correct, make_chain, make_pipeline
from tests.orchestrator.tracking.conftest import Server
from tests.orchestrator.tracking.faults import Faulty
from tests.orchestrator.tracking.models import small_model, wayward_model
from tests.orchestrator.tracking.stores import parents, points, rows

PARENT = "split-digits (ewc+replay)"


def test_all_points_of_the_chain_and_no_others(uri: str, database: Path) -> None:
    chain = make_chain()
    publish(make_pipeline(uri), chain, stream_length=5)
    expected = [(PARENT, p.key, p.step, p.time, p.value) for p in [*parent_points(chain, 5), *loss_points(chain)]]
    for j, found in child_points(chain).items():
        expected += [(f"experience_{j:02d}", p.key, p.step, p.time, p.value) for p in found]
    assert points(database) == sorted(expected)


def test_publishing_again_adds_nothing(uri: str, database: Path) -> None:
    pipeline, chain = make_pipeline(uri), make_chain()
    first = publish(pipeline, chain, stream_length=5, model=small_model, register="digits")
    before = rows(database)
    time.sleep(0.01)
    assert publish(pipeline, chain, stream_length=5, model=small_model, register="digits") == first
    assert rows(database) == before
    assert publish(pipeline, chain, stream_length=5) == first
    assert rows(database) == before, "without a model, the one that is there stays"


@pytest.mark.parametrize("length", [1, 3])
def test_a_part_then_the_whole_is_the_whole(
    length: int, uri: str, database: Path, make_database: Callable[[], Path]
) -> None:
    chain = make_chain(5)
    key = chain[-1].id
    run = publish(make_pipeline(uri), chain[:length], stream_length=5, key=key)
    assert [status for _, status, _, _ in parents(database)] == ["KILLED"]
    assert publish(make_pipeline(uri), chain, stream_length=5, key=key) == run
    other = make_database()
    publish(make_pipeline(f"sqlite:///{other}"), chain, stream_length=5)
    assert points(database) == points(other)
    assert [row[1:] for row in parents(database)] == [row[1:] for row in parents(other)]


def test_a_finished_run_began_and_ended_with_its_commits(uri: str, database: Path) -> None:
    chain = make_chain()
    publish(make_pipeline(uri), chain, stream_length=5)
    ((_, status, start, end),) = parents(database)
    assert status == "FINISHED"
    assert (start, end) == (chain[0].losses[0][2], max(p.time for p in parent_points(chain, 5)))


def test_another_aim_is_another_run_in_the_same_experiment(uri: str, database: Path) -> None:
    chain = make_chain(6)
    first = publish(make_pipeline(uri), chain[:5], stream_length=5)
    second = publish(make_pipeline(uri), chain, stream_length=6)
    assert first != second
    client = connect(uri)
    assert client.get_run(first).info.experiment_id == client.get_run(second).info.experiment_id
    assert len(parents(database)) == 2


def test_tags_parameters_and_files(uri: str, tmp_path: Path) -> None:
    pipeline, chain = make_pipeline(uri), make_chain()
    client = connect(uri)
    run = client.get_run(publish(pipeline, chain, stream_length=5))
    tags = run.data.tags
    assert tags["everlearn.pipeline"] == "split-digits"
    assert tags["everlearn.commit"] == tags["everlearn.run"] == chain[-1].id
    assert "average accuracy" in tags["mlflow.note.content"]
    assert run.data.params == {key: str(value) for key, value in pipeline.flat().items()}

    folder = Path(client.download_artifacts(run.info.run_id, "", str(tmp_path)))
    assert yaml.safe_load((folder / "pipeline.yaml").read_text()) == pipeline.to_document(masked=True)
    document = json.loads((folder / "accuracy_matrix.json").read_text())
    assert document["lineage"] == [commit.id for commit in chain]
    assert document["accuracy_matrix"][4][0] == correct(4, 0) / TESTED
    confusion = json.loads((folder / "confusion_matrix.json").read_text())["confusion_matrix"]
    assert confusion[9][9] == TESTED // 2 - 9 and confusion[9][0] == 9 and "everlearn.task_labels" not in tags
    for name in ("accuracy_matrix", "accuracy_curves", "confusion_matrix", "metrics"):
        assert (folder / f"figures/{name}.png").read_bytes().startswith(b"\x89PNG")


def test_how_tasks_were_known_is_a_tag_and_what_joint_training_reaches_a_metric(uri: str) -> None:
    chain = [commit.revised(task_labels="inferred") for commit in make_chain()]
    run = connect(uri).get_run(
        publish(make_pipeline(uri), chain, stream_length=5, reference=lambda commits: [1.0] * len(commits))
    )
    assert run.data.tags["everlearn.task_labels"] == "inferred"
    gaps = [1 - correct(j, j) / TESTED for j in range(5)]
    assert run.data.metrics["intransigence"] == pytest.approx(sum(gaps) / 5)
    assert "intransigence" in run.data.tags["mlflow.note.content"]


def test_nested_runs_are_found_under_their_parent(uri: str) -> None:
    client = connect(uri)
    run = client.get_run(publish(make_pipeline(uri), make_chain(), stream_length=5))
    children = client.search_runs([run.info.experiment_id], f"tags.mlflow.parentRunId = '{run.info.run_id}'")
    assert sorted(child.info.run_name for child in children) == [f"experience_{j:02d}" for j in range(5)]
    for child in children:
        j = int(child.data.params["experience"])
        assert json.loads(child.data.params["classes"]) == [2 * j, 2 * j + 1]
        assert child.info.status == "FINISHED"
        assert "everlearn.run" not in child.data.tags


def test_names_pictures_datasets_and_columns(uri: str) -> None:
    client, chain = connect(uri), make_chain()
    names = ["zero, one", "2026-05", None, "x", "y"]
    run = client.get_run(publish(make_pipeline(uri), chain, stream_length=5, experience_names=names))
    children = client.search_runs([run.info.experiment_id], f"tags.mlflow.parentRunId = '{run.info.run_id}'")
    assert sorted(child.info.run_name for child in children) == [
        "00 zero, one", "01 2026-05", "03 x", "04 y", "experience_02",
    ]  # fmt: skip
    used = {data.dataset.digest: json.loads(data.dataset.profile)["sha256"] for data in run.inputs.dataset_inputs}
    assert used == {c.experience.fingerprint[:32]: c.experience.fingerprint for c in chain}
    assert sorted(len(child.inputs.dataset_inputs) for child in children) == [1] * 5
    for picture in ("matrix", "curves"):
        address = f"get-artifact?run_uuid={run.info.run_id}&path=figures%2Faccuracy_{picture}.png"
        assert f"({address})" in run.data.tags["mlflow.note.content"]
    view = client.get_experiment(run.info.experiment_id).tags["mlflow.sharedViewState.everlearn"]
    assert {"metrics.`average_accuracy`", "metrics.`forgetting`"} < {*json.loads(view)["selectedColumns"]}


def test_baselines_are_linked_as_soon_as_they_are_there(uri: str) -> None:
    chain = make_chain(2, strategy="ewc")
    baselines = {name: make_chain(2, strategy=name) for name in ("naive", "cumulative")}
    ours, client = make_pipeline(uri), connect(uri)
    first = publish(ours, chain, stream_length=2)
    assert "Compare with" not in client.get_run(first).data.tags["mlflow.note.content"]
    for name, commits in baselines.items():
        other = publish(make_pipeline(uri, name=name, experiment=name), commits, stream_length=2)
        assert publish(ours, chain, stream_length=2) == first
        place = client.get_run(other).info.experiment_id
        called = {"naive": "naive", "cumulative": "joint training"}[name]
        text = client.get_run(first).data.tags["mlflow.note.content"]
        assert f"[{called}](#/experiments/{place}/runs/{other})" in text


def test_a_resumed_run_keeps_the_parameters_of_its_first_attempt(uri: str) -> None:
    """MLflow's parameters cannot change, but the number of workers may."""
    chain = make_chain()
    run = publish(make_pipeline(uri), chain[:2], stream_length=5, key=chain[-1].id)
    assert publish(make_pipeline(uri, workers=2), chain, stream_length=5) == run
    assert connect(uri).get_run(run).data.params["scaling.workers"] == "1"


def test_a_run_that_a_person_deleted_is_written_again(uri: str) -> None:
    client = connect(uri)
    first = publish(make_pipeline(uri), make_chain(), stream_length=5)
    client.delete_run(first)
    second = publish(make_pipeline(uri), make_chain(), stream_length=5)
    assert second != first
    assert client.get_run(second).info.status == "FINISHED"


def test_of_two_runs_for_one_aim_the_one_with_content_continues(uri: str) -> None:
    """A server may create a run after its client has given up waiting for the answer."""
    client = connect(uri)
    chain = make_chain()
    first = publish(make_pipeline(uri), chain[:2], stream_length=5, key=chain[-1].id)
    experiment = client.get_run(first).info.experiment_id
    client.create_run(experiment, 0, {"everlearn.run": chain[-1].id})
    assert publish(make_pipeline(uri), chain, stream_length=5) == first


def test_a_model_that_cannot_be_exported_is_a_warning(uri: str, database: Path) -> None:
    warnings: list[str] = []
    publish(make_pipeline(uri), make_chain(), stream_length=5, model=wayward_model, warn=warnings.append)
    assert len(warnings) == 1
    assert "torch.export" in warnings[0]
    assert "\n" not in warnings[0]
    assert rows(database)["logged_models"] == []
    assert [status for _, status, _, _ in parents(database)] == ["FINISHED"]


def test_secrets_reach_neither_the_store_nor_its_files(
    uri: str, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = make_pipeline(uri)
    secret = pipeline.model_copy(update={"storage": "s3://AKIAABCDEFGHIJKLMNOP:hunter2hunter2@bucket/x"})
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI-K7MDENG-bPxRfiCY")
    publish(secret, make_chain(), stream_length=5)
    written = [path for path in database.parent.rglob("*") if path.is_file()]
    assert len(written) > 4
    for path in written:
        data = path.read_bytes()
        for word in (b"hunter2", b"AKIAABCDEFGHIJKLMNOP", b"wJalrXUtnFEMI"):
            assert word not in data, path


@pytest.mark.parametrize("behaviour", ["refuse", 401, 500])
def test_a_store_that_cannot_be_used_is_an_error(
    behaviour: int | str, faulty: Callable[[int | str], Faulty], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(TrackingError, match="cannot be used"):
        publish(make_pipeline(faulty(behaviour).uri), make_chain(1), stream_length=1)


def test_a_long_stream(uri: str, database: Path) -> None:
    chain = make_chain(12, points=100)
    publish(make_pipeline(uri), chain, stream_length=12)
    before = rows(database)
    assert len(before["metrics"]) > 2400
    publish(make_pipeline(uri), chain, stream_length=12)
    assert rows(database) == before


@pytest.mark.slow
def test_through_a_server(make_server: Callable[[], Server]) -> None:
    server = make_server()
    pipeline, chain = make_pipeline(server.uri), make_chain()
    first = publish(pipeline, chain[:3], stream_length=5, key=chain[-1].id)
    assert publish(pipeline, chain, stream_length=5, model=small_model, register="digits") == first
    before = rows(server.database)
    assert publish(pipeline, chain, stream_length=5, model=small_model, register="digits") == first
    assert rows(server.database) == before
    client = connect(server.uri)
    files = {"accuracy_matrix.json", "confusion_matrix.json", "figures", "pipeline.yaml"}
    assert {file.path for file in client.list_artifacts(first)} == files
    assert client.get_run(first).data.tags["mlflow.note.content"].count("models:/m-") == 1

    import mlflow

    mlflow.set_tracking_uri(server.uri)
    try:
        model, example = small_model()
        loaded = mlflow.pytorch.load_model(f"runs:/{first}/model")
        assert loaded(example).allclose(model.eval()(example), atol=1e-6)
        assert mlflow.pytorch.load_model("models:/digits/1")(example).shape == (5, 4)
    finally:
        mlflow.set_tracking_uri(None)
