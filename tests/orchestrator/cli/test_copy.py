"""`everlearn copy`: what it says, in words and in JSON, and its exit statuses."""

from pathlib import Path

import pytest

from orchestrator.cli.main import invoke
from orchestrator.lineage.lineage import Lineage
from orchestrator.storage.folder_store import FolderStore
from tests.orchestrator.cli.commands import documented
from tests.orchestrator.maintenance.lineages import grow


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


def test_a_copy_into_its_own_source_is_refused(lineage: Lineage, capsys: pytest.CaptureFixture[str]) -> None:
    grow(lineage, 1)
    before = sorted(lineage.store.list())
    for source, target in ((".everlearn/store", ".everlearn/store/base"), (".everlearn/store", ".everlearn")):
        assert invoke(["copy", source, target]) == 2
        assert "lie one in the other" in capsys.readouterr().err
    assert sorted(lineage.store.list()) == before
    assert invoke(["copy", ".everlearn/store", ".everlearn/store-2"]) == 0
