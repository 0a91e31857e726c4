"""`everlearn fsck`: what it says, in words and in JSON, and its exit statuses."""

from pathlib import Path

import pytest

from orchestrator.cli.main import invoke
from orchestrator.lineage.lineage import Lineage
from tests.orchestrator.cli.commands import documented
from tests.orchestrator.maintenance.lineages import grow


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
    assert f"latest: commit {chain[2].id[:12]} is not usable; its newest usable ancestor is {chain[1].id[:12]}" in out
    assert "not written by Everlearn:" in out
    document = documented(capsys, 1, "fsck", "p.yaml")
    assert document["clean"] is False
    (damage,) = document["pipelines"][0]["damage"]
    assert damage == {"object": f"digits/blobs/{sha256}", "problem": "missing", "commits": [chain[2].id]}
    assert invoke(["fsck", "--storage", str(tmp_path / "nowhere")]) == 3
    assert invoke(["fsck", "--storage", "ftp://x"]) == 3
    assert invoke(["fsck", "--set", "seed=1"]) == 2


def test_a_ref_that_was_set_back_is_reported(lineage: Lineage, capsys: pytest.CaptureFixture[str]) -> None:
    chain = grow(lineage, 4)
    lineage.point("latest", chain[2].id)  # as a run leaves it that was killed
    document = documented(capsys, 0, "fsck")
    assert document["pipelines"][0]["later_than_latest"] == []
    lineage.point("latest", chain[1].id)
    assert invoke(["fsck"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert f"latest was set back to commit {chain[1].id[:12]}: 2 later commits are stored" in out
    assert f"the newest is {chain[3].id[:12]}" in out
    document = documented(capsys, 0, "fsck")
    assert document["pipelines"][0]["later_than_latest"] == [chain[2].id, chain[3].id]
