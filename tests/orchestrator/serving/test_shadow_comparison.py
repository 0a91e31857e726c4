"""`everlearn shadow`: what two models answer to the same recorded inputs, counted by hand.

Covers: `orchestrator/cli/shadow.py`
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from orchestrator.checkpointing.load_model import load_model
from orchestrator.cli.main import invoke
from orchestrator.prediction.predictions import ClassPredictions
from orchestrator.serving.model_swap import warmed_up
from orchestrator.serving.shadow_comparison import compare_models
from tests.orchestrator.cli.commands import documented
from tests.orchestrator.serving.conftest import Chain, Trained


def test_recorded_requests(chain: Chain, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = chain.commits[0], chain.commits[-1]
    images = (20 * np.random.default_rng(0).normal(size=(40, 64))).astype(np.float32)
    lines = [json.dumps({"inputs": [[float(x) for x in row] for row in images[k : k + 4]]}) for k in range(0, 40, 4)]
    (tmp_path / "requests.jsonl").write_text("\n".join(lines))
    asked = ["shadow", str(chain.file), "--champion", first, "--requests", str(tmp_path / "requests.jsonl")]
    found = documented(capsys, 0, *asked)
    answers = [load_model(chain.pipeline, commit).predict(images) for commit in (first, second)]
    one, two = (answer for answer in answers if isinstance(answer, ClassPredictions))
    same = int((one.labels == two.labels).sum())
    assert found["rows"] == 40 and found["agreement"] == same / 40 and found["champion"] == first
    assert sum(flip["rows"] for flip in found["flips"]) == 40 - same > 0
    expected = np.abs(one.probabilities - two.probabilities).max(1).mean()
    assert found["mean_difference"] == pytest.approx(expected, abs=1e-6)
    assert found["latency_ratio"] > 0 and "accuracy" not in found
    (tmp_path / "requests.jsonl").write_text(lines[0] + '\n{"inputs": [[1]]}\n')
    assert invoke(asked) == 2
    assert "requests.jsonl, line 2: the body: its inputs are of shape (1,)" in capsys.readouterr().err


def test_a_table_with_labels(trained: Trained, tmp_path: Path) -> None:
    model = load_model(trained.pipeline)
    served = warmed_up("c" * 64, model)
    answers = model.predict(trained.rows)
    assert isinstance(answers, ClassPredictions)
    labels = answers.labels.copy()
    labels[:15] = np.where(labels[:15] == "good", "bad", "good")
    pd.DataFrame(trained.rows).assign(kind=labels).to_csv(tmp_path / "t.csv", index=False)
    found = compare_models(served, served, str(tmp_path / "t.csv")).to_json()
    assert found["agreement"] == 1 and found["flips"] == [] and found["mean_difference"] == 0
    assert found["accuracy"] == {"rows": 60, "champion": 0.75, "candidate": 0.75}
