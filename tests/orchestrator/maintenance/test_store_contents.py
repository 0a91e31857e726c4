"""What lies below a pipeline's name, by kind."""

from pathlib import Path

from orchestrator.lineage.claim import claimed
from orchestrator.maintenance.forget_samples import forget
from orchestrator.maintenance.store_contents import checkpoint_name, read_contents
from tests.orchestrator.maintenance.lineages import folder, grow, memory_ids, put_checkpoint


def test_everything_is_sorted_and_counted(tmp_path: Path) -> None:
    lineage = folder(tmp_path)
    chain = grow(lineage, 2)
    key = put_checkpoint(lineage, "f" * 64, [1, 2])
    others = {
        f"runs/tune-{'a' * 8}/000001.json": "records",
        "runs/ray-1/snapshot": "scratch",
        f"runs/{'f' * 64}/7-short.safetensors": "scratch",
        "runs/tune-x/1.json": "scratch",
        "commits/latest.json": "unknown",
        f"commits/{'f' * 64}": "unknown",
        f"blobs/{'F' * 64}": "unknown",
        "refs/no ref.json": "unknown",
        "readme": "unknown",
    }
    for name in others:
        lineage.store.put(f"digits/{name}", b"12345")
    with claimed(lineage, "run"):
        found = read_contents(lineage)
        everything = sum(len(lineage.store.get(name)) for name in lineage.store.list("digits/"))
    assert found.bytes == everything
    assert found.commits.keys() == {commit.id for commit in chain}
    blobs = {record.sha256 for commit in chain for record in commit.blobs.values()}
    shards = {shard.sha256 for commit in chain for memory in commit.memories.values() for shard in memory.shards}
    assert found.blobs.keys() == blobs | shards
    assert found.refs.keys() == {"latest"}
    assert [entry.key for entry in found.checkpoints] == [key]
    assert [entry.key for entry in found.claims] == ["digits/claims/run.json"]
    for kind in ("records", "scratch", "unknown"):
        expected = sorted(f"digits/{name}" for name, what in others.items() if what == kind)
        assert sorted(entry.key for entry in getattr(found, kind)) == expected


def test_the_list_of_forgotten_ids_is_no_stranger(tmp_path: Path) -> None:
    lineage = folder(tmp_path)
    (commit,) = grow(lineage, 1)
    forget(lineage, memory_ids(lineage, commit)[:1])
    assert read_contents(lineage).unknown == []


def test_the_name_of_a_checkpoint(tmp_path: Path) -> None:
    lineage = folder(tmp_path)
    key = put_checkpoint(lineage, "f" * 64, [1])
    (entry,) = read_contents(lineage).checkpoints
    assert checkpoint_name(entry) == ("f" * 64, key[-76:-12])
