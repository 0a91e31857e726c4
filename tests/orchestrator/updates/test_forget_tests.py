"""Care of a store with an admission log: fsck, gc, copy and forget know its records and test sets.

Covers: `orchestrator/maintenance/copy_admissions.py`
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from orchestrator.lineage import layout
from orchestrator.lineage.claim import claimed
from orchestrator.lineage.lineage import Lineage
from orchestrator.maintenance.check_store import fsck
from orchestrator.maintenance.collect_garbage import collect
from orchestrator.maintenance.copy_store import copy
from orchestrator.maintenance.forget_samples import forget
from orchestrator.maintenance.repair_store import repair
from orchestrator.storage.folder_store import FolderStore
from orchestrator.updates.admission_log import AdmissionLog, read_admissions
from orchestrator.updates.admitted_stream import stream_of
from orchestrator.updates.forget_tests import forget_test_samples
from pipelines.config.schema import Pipeline
from tests.orchestrator.maintenance.lineages import age
from tests.orchestrator.updates.arrivals import deliver, lineage_of, pipeline_of, step


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two experiences."""
    folder = tmp_path_factory.mktemp("grown")
    deliver(folder, "a", [0, 1])
    step(pipeline_of(folder))
    deliver(folder, "b", [2, 3], seed=1)
    step(pipeline_of(folder))
    return folder


@pytest.fixture
def pipeline(grown: Path, tmp_path: Path) -> Pipeline:
    shutil.copytree(grown, tmp_path, dirs_exist_ok=True)
    return pipeline_of(tmp_path)


def test_the_log_is_kept_and_whole(pipeline: Pipeline) -> None:
    lineage = lineage_of(pipeline)
    age(lineage)
    garbage = collect(lineage, keep=1, minimum_age=0)
    assert garbage.blobs.keys().isdisjoint(AdmissionLog(lineage).read().blobs())
    report = fsck(lineage)
    assert (report.damage, report.unreferenced, report.unknown) == ([], [], [])
    assert [len(one.test) for one in stream_of(pipeline)] == [8, 8]


def test_damage_is_found(pipeline: Pipeline) -> None:
    lineage = lineage_of(pipeline)
    log = AdmissionLog(lineage)
    index = layout.admission_index_key(pipeline.name)
    lineage.store.put(index, lineage.store.get(index).replace(b'"serials":2', b'"serials":9'))
    test = layout.blob_key(pipeline.name, next(iter(log.read().blobs())))
    lineage.store.delete(test)
    assert {damage.key: damage.problem for damage in fsck(lineage).damage} == {
        index: "does not agree with the records: delete it, the next step writes it again",
        test: "missing",
    }
    repair(lineage, fsck)
    assert not lineage.store.exists(index)
    record = layout.admission_key(pipeline.name, 0)
    lineage.store.put(record, lineage.store.get(record).replace(b"a.npz", b"z.npz"))
    assert (record, "damaged: its checksum is wrong") in {(d.key, d.problem) for d in fsck(lineage).damage}
    with pytest.raises(Exception, match="nothing was removed"):
        collect(lineage)


def test_a_copy_continues_from_the_state_of_the_source(pipeline: Pipeline, tmp_path: Path) -> None:
    source, target = lineage_of(pipeline), Lineage(FolderStore(tmp_path / "copy"), pipeline.name)
    copied = copy(source, target)
    assert (copied.problems, copied.admissions) == ([], 2)
    assert fsck(target).damage == []
    assert read_admissions(target) == read_admissions(source)
    moved = pipeline.model_copy(update={"storage": str(tmp_path / "copy")})
    assert step(moved).outcome == "nothing-new"
    deliver(tmp_path, "c", [0, 1], seed=2)
    assert step(moved).trained == 1
    step(pipeline)
    # Two logs that have parted are not joined.
    deliver(tmp_path, "d", [0, 1], seed=3)
    deliver(tmp_path, "e", [0, 2], seed=4)
    again = copy(source, target)
    assert "at the destination it is another" in again.problems[0] and again.admissions == 0


def test_forget_reaches_the_test_sets(pipeline: Pipeline, tmp_path: Path) -> None:
    lineage = lineage_of(pipeline)
    stream = stream_of(pipeline)
    held_out = stream[0].test.ids.tolist()
    wanted = held_out[:3]
    rows = [row.numpy().tobytes() for row in stream[0].test.take(torch.arange(3))[0]]
    plan = stream.test_fingerprint(0)
    result = forget(lineage, wanted)
    assert (result.test_samples, result.unreadable) == (3, [])
    after = stream_of(pipeline)
    assert after[0].test.ids.tolist() == held_out[3:] and after.test_fingerprint(0) == plan
    everything = [path.read_bytes() for path in (tmp_path / "store").rglob("*") if path.is_file()]
    assert not any(row in data for row in rows for data in everything)
    assert fsck(lineage).damage == []
    assert step(pipeline).outcome == "nothing-new"
    assert forget(lineage, []).test_samples == 0


def test_a_forget_that_was_killed_between_its_writes_is_completed(pipeline: Pipeline) -> None:
    from orchestrator.lineage.forgotten_ids import add_tombstones

    lineage = lineage_of(pipeline)
    ids = stream_of(pipeline)[1].test.ids.tolist()[:2]
    tombstones = add_tombstones(lineage, ids)
    before = set(AdmissionLog(lineage).read().blobs())
    kept = {sha256: lineage.blob(sha256) for sha256 in before}
    with claimed(lineage, "forget") as claim:
        assert forget_test_samples(lineage.fenced(claim.fence), tombstones)[0] == set(ids)
    for data in kept.values():
        lineage.put_blob(data)  # killed before the old ones were deleted
    assert any("were to be forgotten" in damage.problem for damage in fsck(lineage).damage)
    forget(lineage, [])
    assert fsck(lineage).damage == []
