"""A pipeline's lineage as the commands show it."""

from pathlib import Path

from orchestrator.cli.support.read_history import read_history
from orchestrator.lineage.lineage import Lineage
from orchestrator.storage.folder_store import FolderStore
from tests.orchestrator.cli.lineages import write_lineage


def test_the_chain_its_metrics_and_all_refs(tmp_path: Path) -> None:
    chain = write_lineage(tmp_path)
    lineage = Lineage(FolderStore(tmp_path / ".everlearn/store"), "small")
    lineage.point("champion", chain[0].id)
    lineage.point("first", chain[0].id)
    history = read_history(lineage)
    assert [commit.id for commit in history.chain] == [commit.id for commit in chain]
    assert [round(metrics["average_accuracy"] or 0, 6) for metrics in history.metrics] == [0.9, 0.85, 0.8]
    assert {commit: sorted(names) for commit, names in history.refs.items()} == {
        chain[0].id: ["champion", "first"],
        chain[2].id: ["latest"],
    }
    assert len(read_history(lineage, chain[1].id).chain) == 2


def test_nothing_was_trained_yet(tmp_path: Path) -> None:
    history = read_history(Lineage(FolderStore(tmp_path), "small"))
    assert (history.chain, history.metrics, history.refs) == ([], [], {})
