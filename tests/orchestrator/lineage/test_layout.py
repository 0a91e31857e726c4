"""Where things lie in a store."""

import pytest

from orchestrator.errors import StorageError
from orchestrator.lineage import layout

ID = "0123456789abcdef" * 4


def test_the_documented_layout() -> None:
    assert layout.commit_key("split-mnist", ID) == f"split-mnist/commits/{ID}.json"
    assert layout.blob_key("split-mnist", ID) == f"split-mnist/blobs/{ID}"
    assert layout.ref_key("split-mnist", "latest") == "split-mnist/refs/latest.json"
    assert layout.runs_prefix("split-mnist") == "split-mnist/runs/"


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", "A", "-a", ".a", "a\n", "ä", "x" * 101])
def test_no_pipelines(name: str) -> None:
    with pytest.raises(StorageError, match="pipeline's name"):
        layout.commits_prefix(name)


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "a b", "a\n", "x" * 101])
def test_no_refs(name: str) -> None:
    with pytest.raises(StorageError, match="ref's name"):
        layout.ref_key("p", name)


@pytest.mark.parametrize("sha256", ["", "../../../etc/passwd", ID[:-1], ID.upper(), ID + "\n"])
def test_no_ids(sha256: str) -> None:
    for key in (layout.commit_key, layout.blob_key):
        with pytest.raises(StorageError, match="64 hexadecimal digits"):
            key("p", sha256)
