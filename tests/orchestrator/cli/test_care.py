"""fsck, gc, forget and copy as commands: what they say, in words and in JSON, and their exit statuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli.forget import read_ids
from orchestrator.cli.main import invoke
from orchestrator.lineage.claim import claimed
from orchestrator.lineage.lineage import Lineage
from orchestrator.storage.folder_store import FolderStore
from pipelines.config.pipeline_errors import PipelineError
from tests.orchestrator.maintenance.lineages import grow, memory_ids, occurs, sample_bytes

PIPELINE = """
name: digits
stream: {dataset: digits, setting: class-incremental, experiences: 5}
model: {name: mlp, hidden: [8]}
strategy: [{name: replay, capacity: 12}]
"""


@pytest.fixture(autouse=True)
def lineage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lineage:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EVERLEARN_STORAGE", raising=False)
    (tmp_path / "p.yaml").write_text(PIPELINE)
    return Lineage(FolderStore(tmp_path / ".everlearn/store"), "digits")


def documented(capsys: pytest.CaptureFixture[str], status: int, *arguments: str) -> Any:
    assert invoke([*arguments, "--json"]) == status
    return json.loads(capsys.readouterr().out)


def test_fsck_clean_damaged_and_unusable(lineage: Lineage, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert invoke(["fsck", "p.yaml"]) == 3
    assert "nothing of pipeline digits is stored here" in capsys.readouterr().err
    chain = grow(lineage, 3)
    for arguments in (["p.yaml"], ["--storage", ".everlearn/store"], []):
        assert invoke(["fsck", *arguments]) == 0
        assert capsys.readouterr().out.startswith("digits: clean (3 commits, ")
    document = documented(capsys, 0, "fsck")
    assert document["clean"] and document["pipelines"][0]["usable"] == sorted(c.id for c in chain)
    sha256 = chain[2].blobs["model"].sha256
    lineage.store.delete(f"digits/blobs/{sha256}")
    lineage.store.put("readme.txt", b"?")
    assert invoke(["fsck"]) == 1
    out = capsys.readouterr().out
    assert f"/digits/blobs/{sha256}: missing (commits {chain[2].id[:12]})" in out
    assert f"latest: commit {chain[2].id[:12]} is not usable; the newest before it that is: {chain[1].id[:12]}" in out
    assert "not Everlearn's:" in out
    document = documented(capsys, 1, "fsck", "p.yaml")
    assert document["clean"] is False
    (damage,) = document["pipelines"][0]["damage"]
    assert damage == {"object": f"digits/blobs/{sha256}", "problem": "missing", "commits": [chain[2].id]}
    assert invoke(["fsck", "--storage", str(tmp_path / "nowhere")]) == 3
    assert invoke(["fsck", "--storage", "ftp://x"]) == 3
    assert invoke(["fsck", "--set", "seed=1"]) == 2


def test_gc_says_what_it_does_and_refuses_beside_a_run(lineage: Lineage, capsys: pytest.CaptureFixture[str]) -> None:
    chain = grow(lineage, 3)
    grow(lineage, 2, variant=1, ref=None)
    assert invoke(["gc", "p.yaml"]) == 0
    assert "nothing to remove, 5 commits kept" in capsys.readouterr().out
    assert invoke(["gc", "p.yaml", "--now", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "2 commits, " in out and "would be removed" in out
    assert len(list(lineage.commits())) == 5
    with claimed(lineage, "run"):
        assert invoke(["gc", "p.yaml", "--now"]) == 3
        assert "another run (host " in capsys.readouterr().err
    document = documented(capsys, 0, "gc", "p.yaml", "--now", "--keep", "1")
    assert len(document["commits"]) == 2
    assert document["thinned"] == sorted(c.id for c in chain[:2])
    assert document["kept"] == 3 and document["dry_run"] is False
    assert invoke(["log", "p.yaml"]) == 0
    assert capsys.readouterr().out.count("record only") == 2
    assert invoke(["show", chain[0].id, "p.yaml"]) == 0
    assert "removed by gc" in capsys.readouterr().out
    assert invoke(["gc", "p.yaml", "--keep", "0"]) == 2


def test_forget_says_what_it_does_and_what_it_does_not(lineage: Lineage, capsys: pytest.CaptureFixture[str]) -> None:
    chain = grow(lineage, 2)
    victim = memory_ids(lineage, chain[1])[0]
    Path("ids.txt").write_text(f"{victim}\n\n  999999 \n")
    with claimed(lineage, "run"):
        assert invoke(["forget", "p.yaml", "--ids", "ids.txt"]) == 3
    capsys.readouterr()
    assert invoke(["forget", "p.yaml", "--ids", "ids.txt"]) == 0
    out = capsys.readouterr().out
    assert "1 sample removed" in out
    assert "The models keep what they learned" in out and "everlearn run p.yaml" in out
    assert occurs(lineage, sample_bytes(victim)) == []
    assert documented(capsys, 0, "forget", "p.yaml")["commits"] == []
    assert invoke(["log", "p.yaml"]) == 0
    assert "1 sample forgotten" in capsys.readouterr().out
    newest = documented(capsys, 0, "log", "p.yaml")["commits"][0]
    assert newest["forgotten"][0]["samples"] == 1
    assert invoke(["show", "latest"]) == 0
    assert "1 sample of its memories" in capsys.readouterr().out
    lineage.store.put(f"digits/commits/{'0' * 64}.json", b"junk")
    assert invoke(["forget", "p.yaml", "--ids", "ids.txt"]) == 1
    assert "it may still hold some" in capsys.readouterr().out


def test_ids_in_a_file(tmp_path: Path) -> None:
    import numpy as np

    from pipelines.data.datasets.labels import id_numbers

    file = tmp_path / "ids"
    file.write_text("3\n-5\n3\n9223372036854775807\n")
    assert read_ids(file) == [3, -5, 2**63 - 1]
    file.write_text("anna@example.org\n17\n")
    assert read_ids(file) == id_numbers(np.array(["anna@example.org", "17"], dtype=object), "").tolist()
    file.write_text("17\n")
    assert read_ids(file, text=True) == id_numbers(np.array(["17"], dtype=object), "").tolist()
    for wrong in (b"", b"\n \n", b"9223372036854775808\n", b"\xff\xfe\x00"):
        file.write_bytes(wrong)
        with pytest.raises(PipelineError):
            read_ids(file)
    with pytest.raises(PipelineError, match="No such file"):
        read_ids(tmp_path / "missing")


def test_copy_all_or_one(lineage: Lineage, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    chain = grow(lineage, 2)
    grow(Lineage(lineage.store, "other"), 1)
    assert invoke(["copy", ".everlearn/store", "there", "--pipeline", "other"]) == 0
    assert capsys.readouterr().out.startswith("other: 1 commit, ")
    there = Lineage(FolderStore(tmp_path / "there"), "digits")
    assert list(there.commits()) == []
    document = documented(capsys, 0, "copy", ".everlearn/store", "there")
    assert [(p["pipeline"], p["commits"]) for p in document["pipelines"]] == [("digits", 2), ("other", 0)]
    lineage.store.delete(f"digits/blobs/{chain[1].blobs['model'].sha256}")
    assert invoke(["copy", ".everlearn/store", "elsewhere"]) == 1
    assert "needs a damaged blob" in capsys.readouterr().out
    for wrong in (["copy", "there", "./there"], ["copy", "empty", "x"], ["copy", "there", "x", "--pipeline", "q"]):
        assert invoke(wrong) == 2
