import json
from pathlib import Path

import pytest

from orchestrator.cli.drift import TESTS
from orchestrator.cli.main import invoke
from orchestrator.lineage.capability_record import judged
from orchestrator.storage.folder_store import FolderStore
from pipelines.drift import two_sample
from tests.orchestrator.cli.lineages import write_lineage, write_pipeline
from tests.orchestrator.lineage.test_capability_record import answers, bits


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_pipeline(tmp_path)
    return tmp_path


def test_the_choices_are_the_tests_that_there_are() -> None:
    assert list(TESTS) == list(two_sample.TESTS)


def test_a_table_and_what_differs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["drift", "small.yaml", "--test", "ks", "--test", "classifier"]) == 0
    text = capsys.readouterr().out
    assert "labels   " in text and "classifier" in text and "drift in experience 1" in text
    assert max(map(len, text.splitlines())) <= 80
    assert not (folder / "store").exists()


def test_json_holds_what_the_table_shows(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["drift", "small.yaml", "--json"]) == 0
    documents = json.loads(capsys.readouterr().out)
    assert [d["experience"] for d in documents] == list(range(1, len(documents) + 1))
    assert documents[0]["drift"] and documents[0]["tests"]["labels"]["effect"] == pytest.approx(1)
    assert invoke(["drift", "small.yaml", "--json", "--least-effect", "1"]) == 0
    assert not any(d["drift"] for d in json.loads(capsys.readouterr().out))


def test_what_is_wrong_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["drift", "small.yaml", "--test", "psi"]) == 2
    assert invoke(["drift", "small.yaml", "--alpha", "0"]) == 2
    for command in (["drift", "small.yaml", "--model", "latest"], ["export", "small.yaml", "latest", "exported"]):
        capsys.readouterr()
        assert invoke(command) == 2
        assert "no commit" in capsys.readouterr().err


def test_capabilities_are_shown_from_the_commits(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["drift", "small.yaml", "--capabilities"]) == 3
    assert "no model is trained yet: list them under `capabilities`" in " ".join(capsys.readouterr().err.split())
    before = answers(bits([0, 1, 2], 20))
    asked = judged([before], [answers(bits([1, 2, 3], 20))], {"facts": 0.05})
    (commit,) = write_lineage(folder, 1)
    store = FolderStore(folder / ".everlearn/store")
    whole = commit.revised(capabilities=asked, capabilities_before=[before])
    store.put(f"small/commits/{commit.id}.json", whole.to_json())
    assert invoke(["drift", "small.yaml", "--capabilities"]) == 0
    text = capsys.readouterr().out
    assert "undecided" in text and "295 items" in text and max(map(len, text.splitlines())) <= 80
    assert invoke(["drift", "small.yaml", "--capabilities", "--json"]) == 0
    (document,) = json.loads(capsys.readouterr().out)
    assert document["capabilities"][0]["verdict"] == "undecided" and "answers" not in document["capabilities"][0]
