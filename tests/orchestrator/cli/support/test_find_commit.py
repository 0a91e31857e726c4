"""Finding a commit by what a person types."""

from pathlib import Path

import pytest

from orchestrator.cli.support.find_commit import find_commit
from orchestrator.lineage.lineage import Lineage
from orchestrator.storage.folder_store import FolderStore
from pipelines.config.pipeline_errors import PipelineError
from tests.orchestrator.cli.lineages import write_lineage


def test_by_the_beginning_of_an_id_or_by_a_ref(tmp_path: Path) -> None:
    chain = write_lineage(tmp_path)
    store = FolderStore(tmp_path / ".everlearn/store")
    Lineage(store, "small").point("champion", chain[0].id)
    for word, expected in (
        (chain[1].id, chain[1]),
        (chain[1].id[:4], chain[1]),
        ("latest", chain[2]),
        ("champion", chain[0]),
    ):
        lineage, found = find_commit(store, word)
        assert (lineage.pipeline, found) == ("small", expected.id)


def test_what_nothing_is_called_says_where_it_looked(tmp_path: Path) -> None:
    chain = write_lineage(tmp_path)
    store = FolderStore(tmp_path / ".everlearn/store")
    for word in ("zzzz", chain[0].id[:3], "", "other"):
        with pytest.raises(PipelineError, match=f"no commit '{word}' in pipeline small in"):
            find_commit(store, word, ["small"])


def test_what_several_are_called_needs_more(tmp_path: Path) -> None:
    (first,) = write_lineage(tmp_path, 1)
    (second,) = write_lineage(tmp_path, 1, pipeline="other")
    store = FolderStore(tmp_path / ".everlearn/store")
    with pytest.raises(PipelineError, match="'latest' matches 2 commits") as raised:
        find_commit(store, "latest")
    for commit, pipeline in ((first, "small"), (second, "other")):
        assert f"{commit.id[:12]} ({pipeline})" in str(raised.value)
    lineage, found = find_commit(store, "latest", ["other"])
    assert (lineage.pipeline, found) == ("other", second.id)
