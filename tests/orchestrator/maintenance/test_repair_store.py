"""What is damaged is cleared out of the way, nothing else, and the next run makes it again."""

from __future__ import annotations

import pytest

from orchestrator.errors import Claimed
from orchestrator.lineage.claim import claimed
from orchestrator.lineage.commit import Commit
from orchestrator.lineage.lineage import Lineage
from orchestrator.maintenance.check_store import fsck
from orchestrator.maintenance.repair_store import repair
from tests.orchestrator.maintenance.lineages import everything, grow, put_checkpoint


def flip(lineage: Lineage, key: str) -> None:
    data = bytearray(lineage.store.get(key))
    data[-1] ^= 1
    lineage.store.put(key, bytes(data))


def model(commit: Commit) -> str:
    return f"digits/blobs/{commit.blobs['model'].sha256}"


def test_what_is_whole_stays(lineage: Lineage) -> None:
    grow(lineage, 3)
    before = everything(lineage)
    assert repair(lineage, fsck) == []
    assert everything(lineage) == before


def test_a_damaged_model_is_made_again(lineage: Lineage) -> None:
    chain = grow(lineage, 3)
    flip(lineage, model(chain[2]))
    done = repair(lineage, fsck)
    assert [line.partition(" ")[0] for line in done] == ["commit", model(chain[2]), "ref"]
    assert chain[2].id[:12] in done[0] and chain[1].id[:12] in done[2]
    assert fsck(lineage).damage == []
    assert lineage.stands("latest", chain[1].id)
    aside = f"digits/runs/set-aside/{chain[2].id}.json"
    assert Commit.parse(lineage.store.get(aside)) == chain[2]
    (again,) = grow(lineage, 3, parent=chain[1])
    assert again.id == chain[2].id
    assert lineage.blob(again.blobs["model"].sha256)
    assert fsck(lineage).damage == []


def test_a_damaged_blob_heals_when_its_commit_is_made_again(lineage: Lineage) -> None:
    """Of equal size, as a bit that flipped leaves it, and with the commit deleted by hand."""
    chain = grow(lineage, 2)
    flip(lineage, model(chain[1]))
    shard = f"digits/blobs/{chain[1].memories['replay'].shards[1].sha256}"
    flip(lineage, shard)
    lineage.store.delete(f"digits/commits/{chain[1].id}.json")
    with claimed(lineage, "run") as claim:
        grow(lineage.fenced(claim.fence), 2, parent=chain[0])
    assert fsck(lineage).damage == []


def test_a_shard_that_others_need_is_not_trusted(lineage: Lineage) -> None:
    chain = grow(lineage, 1)
    flip(lineage, f"digits/blobs/{chain[0].memories['replay'].shards[0].sha256}")
    fresh = Lineage(lineage.store, lineage.pipeline)
    with pytest.raises(Exception, match="does not match its SHA-256"):
        fresh.write(chain[0].revised())


def test_checkpoints_refs_and_blobs_without_a_commit(lineage: Lineage) -> None:
    chain = grow(lineage, 2)
    checkpoint = put_checkpoint(lineage, "a" * 64, [1, 2])
    flip(lineage, checkpoint)
    lineage.store.put("digits/refs/best.json", b"junk")
    stray = f"digits/blobs/{'b' * 64}"
    lineage.store.put(stray, b"junk")
    done = repair(lineage, fsck)
    assert sorted(line.partition(" ")[0] for line in done) == sorted([checkpoint, "digits/refs/best.json", stray])
    assert fsck(lineage).damage == []
    assert sorted(lineage.commits()) == sorted(commit.id for commit in chain)


def test_not_beside_a_run(lineage: Lineage) -> None:
    grow(lineage, 1)
    with claimed(lineage, "run"), pytest.raises(Claimed):
        repair(lineage, fsck)
