"""`evaluate`: models are evaluated on some test sets, and everything that shows scores says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from orchestrator.events import Event, StageStarted
from orchestrator.lineage.accuracy_matrix import accuracy_matrix
from orchestrator.lineage.chain_metrics import chain_metrics
from orchestrator.lineage.commit import Commit
from orchestrator.lineage.lineage import Lineage
from orchestrator.lineage.plan import make_plan
from orchestrator.lineage.running_matrix import Course
from orchestrator.lineage.sparse_row import cells
from orchestrator.progress.matrix_table import matrix_view
from orchestrator.result import RunResult
from orchestrator.storage.open_by_uri import open_store
from orchestrator.tracking.metric_points import child_points, parent_points
from pipelines.config.load import load_text, with_settings
from pipelines.config.schema import Pipeline
from pipelines.data.streams import build_stream
from tests.orchestrator.train_stream import train

TEXT = """
name: long
stream: {dataset: digits, setting: domain-incremental, transform: {name: permute}, experiences: 5}
model: {name: mlp, hidden: [8]}
train: {epochs: 1, batch_size: 32}
"""
CELLS = [{0, 1}, {1, 2}, {2, 3}, {1, 3, 4}, {4}]
"""With a window of one experience, and an older one after every fourth."""


def chain_of(pipeline: Pipeline, ids: list[str]) -> list[Commit]:
    return Lineage(open_store(pipeline.storage), pipeline.name).chain(ids[-1])


def measured(chain: list[Commit]) -> Any:
    return [(c.id, c.row, c.previous, c.baseline, c.quality, c.blobs) for c in chain]


@pytest.fixture(scope="module")
def pipelines(tmp_path_factory: pytest.TempPathFactory) -> tuple[Pipeline, Pipeline]:
    """The same stream, evaluated whole and in part."""
    whole = load_text(f"{TEXT}storage: {tmp_path_factory.mktemp('whole')}\n")
    part = with_settings(whole, {"evaluate": {"window": 1, "every": 4}})
    return whole, with_settings(part, {"storage": str(tmp_path_factory.mktemp("part"))})


@pytest.fixture(scope="module")
def chains(pipelines: tuple[Pipeline, Pipeline]) -> tuple[list[Commit], list[Commit]]:
    whole, part = (chain_of(one, train(one)) for one in pipelines)
    return whole, part


def test_it_is_part_of_the_id_only_where_it_is_given(pipelines: tuple[Pipeline, Pipeline]) -> None:
    whole, part = ([one.spec for one in make_plan(p, build_stream(p.stream, p.seed))] for p in pipelines)
    assert all("evaluate" not in spec for spec in whole)
    assert [spec["evaluate"] for spec in part] == 5 * [{"window": 1, "every": 4}]


def test_the_cells_are_those_of_the_whole_matrix(chains: tuple[list[Commit], list[Commit]]) -> None:
    whole, part = (accuracy_matrix(chain)[0] for chain in chains)
    assert [dict(cells(row)).keys() for row in part] == CELLS
    assert all(value == whole[i][j] for i, row in enumerate(part) for j, value in cells(row))
    assert accuracy_matrix(chains[0])[1] == accuracy_matrix(chains[1])[1]


def test_metrics_are_over_the_cells_that_are_known(chains: tuple[list[Commit], list[Commit]]) -> None:
    R, _ = accuracy_matrix(chains[0])
    third, last = (chain_metrics(chains[1])[k] for k in (3, 4))
    assert third["average_accuracy"] == pytest.approx((R[3][1] + R[3][3]) / 2)  # type: ignore[operator]
    change = R[3][1] - R[1][1]  # type: ignore[operator]
    assert third["backward_transfer"] == pytest.approx(change)
    assert third["forgetting"] == pytest.approx(-change)
    assert last["average_accuracy"] == R[4][4] and last["forgetting"] is None and last["backward_transfer"] is None
    assert last["learning_accuracy"] == pytest.approx(chain_metrics(chains[0])[4]["learning_accuracy"])
    assert last["forward_transfer"] == pytest.approx(chain_metrics(chains[0])[4]["forward_transfer"])


def test_an_interrupted_run_comes_to_the_same_commits(
    pipelines: tuple[Pipeline, Pipeline], chains: tuple[list[Commit], list[Commit]], tmp_path: Path
) -> None:
    def interrupt(event: Event) -> None:
        if isinstance(event, StageStarted) and event.index == 2:
            raise KeyboardInterrupt

    again = with_settings(pipelines[1], {"storage": str(tmp_path)})
    with pytest.raises(KeyboardInterrupt):
        train(again, on_event=interrupt)
    assert measured(chain_of(again, train(again))) == measured(chains[1])


def test_a_stream_that_grew_has_the_same_cells(
    pipelines: tuple[Pipeline, Pipeline], chains: tuple[list[Commit], list[Commit]], tmp_path: Path
) -> None:
    again = with_settings(pipelines[1], {"storage": str(tmp_path)})
    train(with_settings(again, {"stream.experiences": 3}))
    grown = chain_of(again, train(again))
    assert [len(commit.previous) for commit in grown] == [0, 0, 0, 1, 0]
    assert accuracy_matrix(grown) == accuracy_matrix(chains[1])
    assert chain_metrics(grown) == _but_for_seconds(chain_metrics(chains[1]), chain_metrics(grown))


def _but_for_seconds(some: list[dict[str, float | None]], others: list[dict[str, float | None]]) -> Any:
    pairs = zip(some, others, strict=True)
    return [{**one, "training_seconds": other["training_seconds"]} for one, other in pairs]


def test_a_growing_chain_is_followed_commit_by_commit(chains: tuple[list[Commit], list[Commit]]) -> None:
    grown = Course()
    for length in range(1, 6):
        grown.follow(chains[1][:length])
    at_once = Course().follow(chains[1])
    assert [[*cells(row)] for row in grown.rows] == [[*cells(row)] for row in at_once.rows]
    assert grown.summaries == at_once.summaries and grown.baseline == at_once.baseline


def test_what_is_shown_copes_with_cells_that_are_not_known(chains: tuple[list[Commit], list[Commit]]) -> None:
    matrix, _ = accuracy_matrix(chains[1])
    history = chain_metrics(chains[1])
    result = RunResult("long", [c.id for c in chains[1]], matrix, history[-1], 5, 0, 1.0, history=history)
    document = json.loads(json.dumps(result.to_json()))
    assert [{int(j) for j in row} for row in document["accuracy_matrix"]] == CELLS
    console = Console(width=80, record=True)
    console.print(matrix_view(matrix))
    text = console.export_text()
    assert "the last model on 1 of 5 experiences" in text and "\N{MIDDLE DOT}" in text
    names = [point.key for point in parent_points(chains[1], 5) if point.key.startswith("accuracy/")]
    assert len(names) == sum(map(len, CELLS))
    assert [len([p for p in points if p.key == "eval/accuracy"]) for points in child_points(chains[1]).values()] == [
        1, 2, 1, 1, 1,
    ]  # fmt: skip
