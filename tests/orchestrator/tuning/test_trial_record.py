from pathlib import Path

import pytest

from orchestrator.errors import StorageError
from orchestrator.lineage.lineage import Lineage
from orchestrator.storage.folder_store import FolderStore
from orchestrator.tuning.trial_record import Records, TrialRecord


def test_records_are_kept_by_number(tmp_path: Path) -> None:
    records = Records(Lineage(FolderStore(tmp_path), "x"), "search")
    assert records.read() == []
    second = TrialRecord(number=1, settings={"model.hidden": [1, 2]}, state="done", history=[{"forgetting": None}])
    records.write(second)
    records.write(TrialRecord(number=0, state="failed"))
    assert [record.number for record in records.read()] == [0, 1] and records.read()[1] == second
    records.write(TrialRecord(number=0, state="done"))
    assert records.read()[0].state == "done"
    assert Records(Lineage(FolderStore(tmp_path), "x"), "other").read() == []


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    records = Records(Lineage(FolderStore(tmp_path), "x"), "search")
    records.write(TrialRecord(number=0))
    (tmp_path / "x/runs/tune-search/000000.json").write_text("{")
    with pytest.raises(StorageError, match=r"000000\.json: this record of a trial is damaged"):
        records.read()


@pytest.mark.parametrize(("state", "final", "over"), [("done", False, True), ("stopped", False, True),
                                                      ("failed", True, True), ("failed", False, False),
                                                      ("waiting", False, False)])  # fmt: skip
def test_what_is_over(state: str, final: bool, over: bool) -> None:
    assert TrialRecord.model_validate({"number": 0, "state": state, "final": final}).over is over
