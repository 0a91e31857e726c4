"""What must be forgotten is known by salted hashes, survives, and keeps samples out of every memory to come."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import CorruptCommit
from orchestrator.lineage.forgotten_ids import Tombstones, add_tombstones, parse_tombstones, read_tombstones
from orchestrator.lineage.lineage import Lineage
from orchestrator.lineage.plan import make_plan
from orchestrator.maintenance.forget_samples import forget
from orchestrator.storage.open_by_uri import open_store
from orchestrator.training.rank import RankTraining
from pipelines.config.load import load_text
from pipelines.data.streams import build_stream
from strategies.loop.process_group import Group

IDS = st.sets(st.integers(-(2**63), 2**63 - 1), max_size=20)


@given(IDS, IDS, IDS)
def test_exactly_the_ids_that_were_given_are_found(one: set[int], two: set[int], others: set[int]) -> None:
    made = Tombstones().joined(one).joined(two)
    again = parse_tombstones(made.to_json(), "x")
    assert again == made
    assert set(again.among(one | two | others)) == one | two
    assert bool(again) == bool(one | two)


def test_every_pipeline_has_a_salt_of_its_own() -> None:
    assert not Tombstones().joined([1]).hashes & Tombstones().joined([1]).hashes


def test_concurrent_additions_lose_nothing(lineage: Lineage) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda i: add_tombstones(lineage, [i]), range(8)))
    assert read_tombstones(lineage).among(range(10)) == list(range(8))


@given(st.binary(max_size=60))
def test_junk_is_refused(junk: bytes) -> None:
    with pytest.raises(CorruptCommit, match="which samples were forgotten"):
        parse_tombstones(junk, "here")


@pytest.mark.parametrize(
    "change",
    [
        {"hashes": ["0" * 31]},
        {"hashes": ["0" * 33]},
        {"hashes": ["0" * 32, "G" * 32]},
        {"hashes": [""]},
        {"hashes": None},
        {"salt": "0" * 31},
        {"salt": ""},
        {"format": 2},
        {"more": 1},
    ],
)
def test_a_record_that_hides_an_id_is_refused(change: dict[str, object]) -> None:
    """A hash that is cut off is no longer found among the ids: its sample would come back."""
    document = json.loads(Tombstones().joined([1]).to_json())
    assert parse_tombstones(json.dumps(document).encode(), "here").among([1, 2]) == [1]
    with pytest.raises(CorruptCommit, match="which samples were forgotten"):
        parse_tombstones(json.dumps({**document, **change}).encode(), "here")


def rank_training(folder: Path, strategy: str, seed: int = 0, until: int = 3, epochs: int = 1) -> RankTraining:
    order = [[0, 1], [2, 3], [4, 5]][:until]
    pipeline = load_text(
        f"name: c\nseed: {seed}\nstream: {{dataset: digits, setting: class-incremental, order: {order}}}\n"
        f"model: {{name: mlp, hidden: [12]}}\nstrategy: [{strategy}]\nstorage: {folder}\n"
        f"train: {{epochs: {epochs}, batch_size: 50, optimizer: {{name: adam}}}}\n"
    )
    stream = build_stream(pipeline.stream, pipeline.seed)
    return RankTraining(
        pipeline=pipeline,
        stream=stream,
        plan=make_plan(pipeline, stream),
        lineage=Lineage(open_store(pipeline.storage), pipeline.name),
        group=Group(),
        device=torch.device("cpu"),
        on_event=lambda event: None,
    )


def remembered(made: RankTraining) -> dict[str, set[int]]:
    """By commit: every id in a stored shard."""
    found: dict[str, set[int]] = {}
    for id_ in made.lineage.commits():
        shards = [s for memory in made.lineage.read(id_).memories.values() for s in memory.shards]
        found[id_] = {i for s in shards for i in made.lineage.tensors(s.sha256)["ids"].tolist()}
    return found


@pytest.mark.parametrize(
    "strategy",
    [
        "{name: replay, capacity: 40}",
        "{name: replay, capacity: 40, policy: class-balanced}",
        "{name: gdumb, capacity: 40}",
        "{name: der, capacity: 40}",
    ],
)
def test_a_forgotten_sample_enters_no_memory_again(strategy: str, tmp_path: Path) -> None:
    """Not as the run continues, not when it is trained again, not with other settings."""
    begun = rank_training(tmp_path, strategy, until=2)
    begun.run()
    first = sorted(remembered(begun)[begun.plan[0].id])[:3]
    # Samples of an experience that is still to come, too.
    whole = rank_training(tmp_path, strategy)
    coming = whole.stream[2].train.ids.tolist()[:60]
    forget(begun.lineage, [*first, *coming])
    whole.run()
    assert len(list(whole.lineage.commits())) == 3
    rank_training(tmp_path, strategy, epochs=2).run()
    rank_training(tmp_path, strategy, seed=1).run()
    for ids in remembered(whole).values():
        assert ids and not ids & {*first, *coming}


def test_an_interrupted_forget_and_a_finished_one_are_the_same_to_a_run(tmp_path: Path) -> None:
    made = []
    for name, finish in (("a", True), ("b", False)):
        begun = rank_training(tmp_path / name, "{name: replay, capacity: 40}", until=2)
        begun.run()
        ids = sorted(remembered(begun)[begun.plan[1].id])[::3]
        if finish:
            forget(begun.lineage, ids)
        else:
            add_tombstones(begun.lineage, ids)
        whole = rank_training(tmp_path / name, "{name: replay, capacity: 40}")
        whole.run()
        made.append(whole)
    finished, interrupted = made
    last = [m.lineage.read(m.plan[2].id) for m in made]
    assert last[0].row == last[1].row
    assert last[0].blobs["model"] == last[1].blobs["model"]
    forget(interrupted.lineage, [])
    assert remembered(interrupted) == remembered(finished)
