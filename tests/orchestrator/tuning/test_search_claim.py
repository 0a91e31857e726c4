"""A search keeps care commands away, and lets others search and run."""

from pathlib import Path

import pytest

from orchestrator.errors import Claimed
from orchestrator.lineage.claim import claimed
from orchestrator.lineage.lineage import Lineage
from orchestrator.storage.folder_store import FolderStore
from orchestrator.tuning.search_claim import searching
from pipelines.config.load import load_text
from pipelines.config.schema import Pipeline


def pipeline(folder: Path, name: str) -> Pipeline:
    stream = "{dataset: digits, setting: class-incremental}"
    return load_text(f"name: {name}\nstream: {stream}\nmodel: mlp\nstrategy: naive\nstorage: {folder}\n")


def test_all_its_pipelines_are_claimed_for_its_time(tmp_path: Path) -> None:
    one, two = (Lineage(FolderStore(tmp_path), name) for name in ("one", "two"))
    both = [pipeline(tmp_path, "one"), pipeline(tmp_path, "two")]
    with searching(both, pytest.fail), searching(both[:1], pytest.fail):
        for lineage in (one, two):
            with pytest.raises(Claimed), claimed(lineage, "gc"):
                pytest.fail("gc continued")
            with claimed(lineage, "run"):
                pass
    for lineage in (one, two):
        with claimed(lineage, "gc"):
            pass


def test_beside_a_care_command_it_does_not_begin_and_claims_nothing(tmp_path: Path) -> None:
    one, two = (Lineage(FolderStore(tmp_path), name) for name in ("one", "two"))
    with claimed(two, "gc"):
        with pytest.raises(Claimed), searching([pipeline(tmp_path, "one"), pipeline(tmp_path, "two")], pytest.fail):
            pytest.fail("it began")
        with claimed(one, "gc"):
            pass
