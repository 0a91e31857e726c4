"""`everlearn sources`.

Covers: `orchestrator/updates/source_decisions.py`
"""

from __future__ import annotations

import re
import time
from datetime import datetime
from pathlib import Path

import pytest

from orchestrator.cli.main import invoke
from tests.orchestrator.cli.commands import documented
from tests.orchestrator.updates.arrivals import FILE, aged, deliver, lineage_of, pipeline_of, step
from tests.orchestrator.updates.label_files import DAY, bring, delayed, delayed_file, label


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """One experience is trained; b.npz is late and in quarantine, c.npz is torn, a.npz was overwritten."""
    written = tmp_path / "arriving.yaml"
    more = ", on: {late: quarantine}"
    written.write_text(FILE.format(folder=tmp_path, more=more))
    deliver(tmp_path, "d", [0, 1])
    step(pipeline_of(tmp_path, more))
    deliver(tmp_path, "d", [0, 1], seed=1)
    deliver(tmp_path, "b", [2, 3], seed=2)
    (tmp_path / "in/e.npz").write_bytes(b"PK torn")
    aged(tmp_path / "in/e.npz", 500)
    step(pipeline_of(tmp_path, more))
    return written


def test_what_arrived_is_shown(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    deliver(tmp_path, "f", [0, 1], seed=5)
    assert invoke(["sources", str(file)]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"\n +0 +40 +0, 1 +d\.npz *\n", shown)
    assert "In quarantine:\n  b.npz: sorts before d.npz, which was admitted earlier\n" in shown
    assert "  d.npz: was admitted with another content" in shown
    assert "  e.npz: e.npz: not a readable npz file" in shown
    assert shown.endswith("1 experience, 1 trained, 1 new file for the next step\n")
    document = documented(capsys, 0, "sources", str(file))
    assert (document["counts"], document["unknown"], document["trained"]) == ({"quarantined": 3}, 1, 1)
    assert [one["serial"] for one in document["experiences"]] == [0]


def test_a_person_decides(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["sources", str(file), "admit", "b.npz", "d.npz", "--reason", "checked"]) == 0
    assert "b.npz: admitted by a person: checked\n" in capsys.readouterr().out
    assert invoke(["sources", str(file), "reject", "e.npz"]) == 0
    pipeline = pipeline_of(tmp_path, ", on: {late: quarantine}")
    result = step(pipeline)
    assert (result.trained, result.experiences, result.quarantined) == (2, 3, ())
    chain = lineage_of(pipeline).chain(str(result.commit))
    assert [commit.experience.classes for commit in chain] == [(0, 1), (2, 3), (0, 1)]
    assert step(pipeline).outcome == "nothing-new"
    assert invoke(["sources", str(file), "release", "e.npz"]) == 0
    assert [one.key for one in step(pipeline).quarantined] == ["e.npz"]


def test_what_cannot_be_decided(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, said in (
        (["admit", "e.npz"], "e.npz: cannot be admitted: e.npz: not a readable npz file"),
        (["reject", "ee.npz"], "ee.npz: nothing was decided on such a file, did you mean 'e.npz'?"),
        (["admit"], "an action needs the keys of files"),
    ):
        assert invoke(["sources", str(file), *arguments]) == 2
        assert said in capsys.readouterr().err


def test_what_is_part_of_an_experience_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    deliver(tmp_path, "a", [0, 1])
    step(pipeline_of(tmp_path))
    (tmp_path / "p.yaml").write_text(FILE.format(folder=tmp_path, more=""))
    assert invoke(["sources", str(tmp_path / "p.yaml"), "reject", "a.npz"]) == 2
    assert "is part of an experience, which stays what it is" in capsys.readouterr().err


def test_what_waits_for_labels_is_shown_with_its_day(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(delayed_file(tmp_path))
    bring(tmp_path, "a", range(40), age=6 * DAY)
    bring(tmp_path, "old", range(100, 140), age=8 * DAY)
    label(tmp_path, "one", range(10, 130))
    step(delayed(tmp_path))
    label(tmp_path, "two", range(100, 140))
    step(delayed(tmp_path))
    assert invoke(["sources", file]) == 0
    shown = capsys.readouterr().out
    day = datetime.fromtimestamp(time.time() + DAY).strftime("%Y-%m-%d")
    assert re.search(
        rf"Waiting:\n  a\.npz: 10 of 40 rows without a label, waits for them until {day} \d\d:\d\d\n", shown
    )
    assert "old.npz (10 rows without a label)" in shown
    assert "Labels:\n  2 files of labels joined\n  10 labels came too late for experience 0\n" in shown
    assert shown.endswith("1 experience, 1 trained\n")
    document = documented(capsys, 0, "sources", file)
    assert document["waiting"]["a.npz"]["missing"] == 10
    assert document["waiting"]["a.npz"]["matures"] == pytest.approx(time.time() + DAY, abs=600)
    assert invoke(["sources", file, "reject", "_labels/one.csv"]) == 2
    assert "_labels/one.csv: its labels are joined, which stays so" in capsys.readouterr().err
    assert invoke(["sources", file, "reject", "a.npz"]) == 0
    assert step(delayed(tmp_path)).waiting == 0
