"""`everlearn sources`.

Covers: `orchestrator/updates/source_decisions.py`
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orchestrator.cli.main import invoke
from tests.orchestrator.cli.commands import documented
from tests.orchestrator.updates.arrivals import FILE, aged, deliver, lineage_of, pipeline_of, step


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
