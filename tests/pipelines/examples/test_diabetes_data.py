from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orchestrator.lineage.lineage import Lineage
from orchestrator.storage.open_by_uri import open_store
from pipelines.config.example_files import find_example, write_example
from pipelines.config.load import load_pipeline
from pipelines.examples.diabetes_data import load
from tests.orchestrator.train_stream import train


def test_every_patient_is_in_one_third_once() -> None:
    thirds: Any = load()
    assert [len(train) + len(test) for (train, _), (test, _) in thirds] == [148, 147, 147]
    inputs = np.concatenate([part for one in thirds for part, _ in one])
    targets = np.concatenate([part for one in thirds for _, part in one])
    assert (
        inputs.shape == (442, 9)
        and np.allclose(inputs.mean(0), 0, atol=1e-5)
        and np.allclose(inputs.std(0), 1, atol=1e-5)
    )
    assert (targets.min(), targets.max()) == (25, 346)
    assert targets.mean() == pytest.approx(152.13, abs=0.01)  # as scikit-learn's page gives it


def test_the_example_learns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    file, *_ = write_example(find_example("diabetes"), tmp_path)
    pipeline = load_pipeline(file, ["train.epochs=30", f"storage={tmp_path / 'store'}"])
    row = Lineage(open_store(pipeline.storage), pipeline.name).read(train(pipeline)[-1]).row
    assert max(count.scores["rmse"] for count in row) < 77  # the target's standard deviation: nothing learned
    assert [set(count.scores) for count in row] == [{"rmse", "mae", "r2"}] * 3
