"""Damage of every kind is found, named exactly, and nothing else is."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.errors import StorageError
from orchestrator.lineage import layout
from orchestrator.lineage.claim import claimed
from orchestrator.lineage.commit import Commit
from orchestrator.lineage.forgotten_ids import add_tombstones
from orchestrator.lineage.lineage import Lineage
from orchestrator.maintenance.check_store import fsck, unknown_pipelines
from orchestrator.maintenance.store_report import Report
from orchestrator.storage.tensors import encode
from orchestrator.tuning.trial_record import Records, TrialRecord
from tests.orchestrator.maintenance.lineages import everything, folder, grow, put_checkpoint


def blob_key(lineage: Lineage, sha256: str) -> str:
    return layout.blob_key(lineage.pipeline, sha256)


def commit_key(lineage: Lineage, commit: Commit) -> str:
    return layout.commit_key(lineage.pipeline, commit.id)


def found(report: Report) -> dict[str, tuple[str, ...]]:
    """Damaged objects, and the commits they hit."""
    return {damage.key: tuple(sorted(damage.commits)) for damage in report.damage}


def everything_usable(lineage: Lineage) -> list[Commit]:
    """A lineage with one of each thing."""
    chain = grow(lineage, 3)
    grow(lineage, 3, parent=chain[0], variant=1, ref="champion")
    put_checkpoint(lineage, "0" * 64, [1, 2])
    Records(lineage, "s").write(TrialRecord(number=0))
    lineage.store.put("digits/runs/ray-1/state.json", b"{}")
    lineage.put_blob(encode({"orphan": torch.zeros(2)}))
    add_tombstones(lineage, [12345])
    with claimed(lineage, "run"):
        pass
    return chain


def test_a_lineage_that_is_whole(lineage: Lineage) -> None:
    chain = everything_usable(lineage)
    before = everything(lineage)
    calls: list[tuple[int, int]] = []
    report = fsck(lineage, lambda done, total: calls.append((done, total)))
    assert report.damage == []
    assert report.unknown == []
    assert (report.commits, report.blobs) == (5, len(list(lineage.store.list("digits/blobs/"))))
    assert set(report.usable) == set(lineage.commits())
    assert report.refs["latest"] == (chain[2].id, chain[2].id)
    assert len(report.unreferenced) == 1
    assert report.bytes >= sum(len(data) for key, data in before.items() if "forgotten" not in key)
    assert calls[-1] == (report.blobs, report.blobs)
    assert everything(lineage) == before


def damaged_commit(lineage: Lineage, chain: list[Commit]) -> dict[str, tuple[str, ...]]:
    key = commit_key(lineage, chain[1])
    lineage.store.put(key, lineage.store.get(key).replace(b'"steps":0', b'"steps":9'))
    return {key: (chain[1].id,)}


def swapped_commit(lineage: Lineage, chain: list[Commit]) -> dict[str, tuple[str, ...]]:
    lineage.store.put(commit_key(lineage, chain[2]), chain[1].to_json())
    return {commit_key(lineage, chain[2]): (chain[2].id,)}


def newer_commit(lineage: Lineage, chain: list[Commit]) -> dict[str, tuple[str, ...]]:
    key = commit_key(lineage, chain[2])
    lineage.store.put(key, lineage.store.get(key).replace(b'"format":1', b'"format":2'))
    return {key: (chain[2].id,)}


def missing_parent(lineage: Lineage, chain: list[Commit]) -> dict[str, tuple[str, ...]]:
    lineage.store.delete(commit_key(lineage, chain[1]))
    return {commit_key(lineage, chain[1]): (chain[2].id,)}


def missing_blob(lineage: Lineage, chain: list[Commit]) -> dict[str, tuple[str, ...]]:
    key = blob_key(lineage, chain[2].blobs["model"].sha256)
    lineage.store.delete(key)
    return {key: (chain[2].id,)}


def damaged_blob(lineage: Lineage, chain: list[Commit]) -> dict[str, tuple[str, ...]]:
    """A shard that several commits share."""
    sha256 = chain[1].memories["replay"].shards[1].sha256
    users = tuple(id_ for id_ in lineage.commits() if sha256 in lineage.read(id_).referenced())
    assert {chain[1].id, chain[2].id} < set(users)
    key = blob_key(lineage, sha256)
    lineage.store.put(key, lineage.store.get(key)[:-1] + b"?")
    return {key: users}


def no_safetensors(lineage: Lineage, chain: list[Commit]) -> dict[str, tuple[str, ...]]:
    sha256 = lineage.put_blob(b"junk")
    record = {"sha256": sha256, "bytes": 4}
    commit = chain[2].revised(blobs={**chain[2].document()["blobs"], "model": record})
    lineage.store.put(commit_key(lineage, commit), commit.to_json())
    return {blob_key(lineage, sha256): (commit.id,)}


def wrong_size(lineage: Lineage, chain: list[Commit]) -> dict[str, tuple[str, ...]]:
    record = {"sha256": chain[2].blobs["model"].sha256, "bytes": 1}
    commit = chain[2].revised(blobs={**chain[2].document()["blobs"], "model": record})
    lineage.store.put(commit_key(lineage, commit), commit.to_json())
    return {commit_key(lineage, commit): (commit.id,)}


def with_shards(lineage: Lineage, commit: Commit, shards: list[dict[str, object]]) -> dict[str, tuple[str, ...]]:
    changed = commit.revised(memories={"replay": {"shards": shards}})
    lineage.store.put(commit_key(lineage, commit), changed.to_json())
    return {commit_key(lineage, commit): (commit.id,)}


def too_long(lineage: Lineage, chain: list[Commit]) -> dict[str, tuple[str, ...]]:
    shards = chain[2].document()["memories"]["replay"]["shards"]
    held = len(lineage.tensors(shards[2]["sha256"])["ids"])
    return with_shards(lineage, chain[2], [{**shards[2], "lengths": {"all": held + 1}}])


def unknown_class(lineage: Lineage, chain: list[Commit]) -> dict[str, tuple[str, ...]]:
    shards = chain[2].document()["memories"]["replay"]["shards"]
    return with_shards(lineage, chain[2], [{**shards[2], "lengths": {"77": 1}}])


def too_many(lineage: Lineage, chain: list[Commit]) -> dict[str, tuple[str, ...]]:
    """More than the capacity, though every shard is long enough."""
    shards = chain[2].document()["memories"]["replay"]["shards"]
    first = len(lineage.tensors(shards[0]["sha256"])["ids"])
    return with_shards(lineage, chain[2], [{**shards[0], "lengths": {"all": first}}, *shards[1:]])


def no_shard(lineage: Lineage, chain: list[Commit]) -> dict[str, tuple[str, ...]]:
    record = chain[2].document()["blobs"]["model"]
    return with_shards(lineage, chain[2], [{"experience": 2, **record, "lengths": {"all": 1}}])


def shard_of_the_future(lineage: Lineage, chain: list[Commit]) -> dict[str, tuple[str, ...]]:
    shards = chain[2].document()["memories"]["replay"]["shards"]
    return with_shards(lineage, chain[2], [{**shards[2], "experience": 3}])


def damaged_ref(lineage: Lineage, chain: list[Commit]) -> dict[str, tuple[str, ...]]:
    lineage.store.put("digits/refs/latest.json", b"{}")
    return {"digits/refs/latest.json": ()}


def dangling_ref(lineage: Lineage, chain: list[Commit]) -> dict[str, tuple[str, ...]]:
    lineage.store.put("digits/refs/latest.json", b'{"commit":"%s","generation":1}' % (b"0" * 64))
    return {"digits/refs/latest.json": ()}


def damaged_checkpoint(lineage: Lineage, chain: list[Commit]) -> dict[str, tuple[str, ...]]:
    key = put_checkpoint(lineage, "1" * 64, [3])
    lineage.store.put(key, lineage.store.get(key)[:-3])
    return {key: ()}


def damaged_claim(lineage: Lineage, chain: list[Commit]) -> dict[str, tuple[str, ...]]:
    lineage.store.put("digits/claims/run.json", b'{"format": 1, "pid": -1}')
    return {"digits/claims/run.json": ()}


def damaged_tombstones(lineage: Lineage, chain: list[Commit]) -> dict[str, tuple[str, ...]]:
    lineage.store.put("digits/forgotten.json", b"[]")
    return {"digits/forgotten.json": ()}


def damaged_record(lineage: Lineage, chain: list[Commit]) -> dict[str, tuple[str, ...]]:
    lineage.store.put("digits/runs/tune-s/000001.json", b"[]")
    return {"digits/runs/tune-s/000001.json": ()}


def unfinished_forget(lineage: Lineage, chain: list[Commit]) -> dict[str, tuple[str, ...]]:
    shard = chain[2].memories["replay"].shards[2]
    add_tombstones(lineage, lineage.tensors(shard.sha256)["ids"].tolist()[:1])
    return {blob_key(lineage, shard.sha256): ()}


Plant = Callable[[Lineage, list[Commit]], dict[str, tuple[str, ...]]]
KINDS: list[Plant] = [
    damaged_commit, swapped_commit, newer_commit, missing_parent, missing_blob, damaged_blob, no_safetensors,
    wrong_size, too_long, unknown_class, too_many, no_shard, shard_of_the_future, damaged_ref, dangling_ref,
    damaged_checkpoint, damaged_claim, damaged_tombstones, damaged_record, unfinished_forget,
]  # fmt: skip


@pytest.mark.parametrize("plant", KINDS, ids=lambda plant: plant.__name__)
def test_each_kind_of_damage_is_named_and_nothing_else(plant: Plant, tmp_path: Path) -> None:
    lineage = folder(tmp_path)
    chain = everything_usable(lineage)
    expected = plant(lineage, chain)
    report = fsck(lineage)
    assert found(report) == expected
    hit = {id_ for commits in expected.values() for id_ in commits}
    # What stays usable: what is not hit itself and has all its ancestors' records.
    for id_ in report.usable:
        assert id_ not in hit
        lineage.chain(id_)
    for id_ in set(lineage.commits()) - set(report.usable) - hit:
        with pytest.raises(StorageError):
            lineage.chain(id_)


@pytest.mark.s3
def test_all_kinds_at_once_in_s3(s3_uri: str) -> None:
    from orchestrator.storage.open_by_uri import open_store

    lineage = Lineage(open_store(f"{s3_uri}/deep/down"), "digits")
    chain = everything_usable(lineage)
    expected: dict[str, tuple[str, ...]] = {}
    for plant in (damaged_blob, missing_blob, damaged_checkpoint, damaged_ref, damaged_claim):
        expected |= plant(lineage, chain)
    assert found(fsck(lineage)) == expected


def test_what_remains_of_a_history(tmp_path: Path) -> None:
    lineage = folder(tmp_path)
    chain = grow(lineage, 4)
    lineage.store.delete(blob_key(lineage, chain[3].blobs["model"].sha256))
    lineage.store.delete(blob_key(lineage, chain[2].blobs["model"].sha256))
    report = fsck(lineage)
    assert report.refs["latest"] == (chain[3].id, chain[1].id)
    assert set(report.usable) == {chain[0].id, chain[1].id}


def test_files_of_others_are_listed(tmp_path: Path) -> None:
    lineage = folder(tmp_path)
    grow(lineage, 1)
    strange = ["digits/notes.txt", "digits/blobs/model.bin", "digits/commits/abc.json", "digits/refs/-.json"]
    for key in strange:
        lineage.store.put(key, b"?")
    lineage.store.put("readme", b"?")
    lineage.store.put("Not A Pipeline/x", b"?")
    report = fsck(lineage)
    assert report.damage == []
    assert sorted(report.unknown) == sorted(strange)
    assert unknown_pipelines(lineage.store) == (["digits"], ["Not A Pipeline/x", "readme"])


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_changed_byte_of_any_object_is_found(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as place:
        lineage = folder(Path(place))
        grow(lineage, 2)
        put_checkpoint(lineage, "0" * 64, [1])
        keys = [key for key in everything(lineage) if "/refs/" not in key]
        key = data.draw(st.sampled_from(sorted(keys)))
        good = lineage.store.get(key)
        at = data.draw(st.integers(0, len(good) - 1))
        bad = data.draw(st.sampled_from([good[:at], good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :], good + b"\0"]))
        lineage.store.put(key, bad)
        assert list(found(fsck(lineage))) == [key]


def test_beside_a_run_nothing_is_taken_for_damage(tmp_path: Path) -> None:
    """Commits, checkpoints and blobs that come and go between listing and reading."""
    import threading

    lineage = folder(tmp_path)
    stop = threading.Event()

    def run() -> None:
        for variant in range(1, 1000):
            chain = grow(lineage, 2, variant=variant)
            key = put_checkpoint(lineage, "0" * 64, [1], step=variant)
            lineage.store.delete(key)
            if stop.is_set():
                return
            assert chain

    thread = threading.Thread(target=run)
    thread.start()
    try:
        for _ in range(5):
            assert fsck(lineage).damage == []
    finally:
        stop.set()
        thread.join()
