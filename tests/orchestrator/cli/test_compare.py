import json
from pathlib import Path

import pytest

from orchestrator.cli.main import invoke
from tests.orchestrator.cli.lineages import PIPELINE


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.usefixtures("standing_ray")
def test_a_table_and_its_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "one.yaml").write_text(f"{PIPELINE}published: {{average_accuracy: 0.5}}\n")
    (tmp_path / "two.yaml").write_text(PIPELINE.replace("small", "other"))
    nowhere = ("--set", "tracking.uri=http://127.0.0.1:9")
    monkeypatch.chdir(tmp_path)
    assert invoke(["compare", "one.yaml", "two.yaml", "--seeds", "2", *nowhere]) == 0
    shown = capsys.readouterr().out
    assert "waiting: for Ray " in shown and "for the first of 4 trials" in shown
    assert "published 50.00" in shown and "±" in shown
    assert "trained 12 experiences, reused 0" in shown
    assert invoke(["compare", "one.yaml", "two.yaml", "--seeds", "2", "--json", *nowhere]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["trained"], result["reused"]) == (0, 12)
    assert [one["pipeline"] for one in result["pipelines"]] == ["small", "other"]


def test_the_same_pipeline_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "one.yaml").write_text(PIPELINE)
    assert invoke(["compare", str(tmp_path / "one.yaml"), str(tmp_path / "one.yaml")]) == 2
    assert "names of their own" in capsys.readouterr().err
