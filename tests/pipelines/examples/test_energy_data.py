from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from orchestrator.lineage.lineage import Lineage
from orchestrator.storage.open_by_uri import open_store
from pipelines.config.example_files import find_example, write_example
from pipelines.config.load import load_pipeline
from pipelines.examples.energy_data import load
from tests.orchestrator.train_stream import train

Array = NDArray[Any]


def test_months_are_the_same_in_every_run_and_in_longer_streams() -> None:
    short: Any = load(months=2, hours=50)
    long: Any = load(months=3, hours=50)
    for month in range(2):
        for one, other in zip(short[month], long[month], strict=True):
            assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    (inputs, targets), (held_out, _) = long[2]
    assert inputs.shape == (40, 6) and targets.shape == (40, 2) and held_out.shape == (10, 6)


def test_what_is_learned_in_january_is_wrong_in_july() -> None:
    year: Any = load()

    def features(inputs: Array) -> Array:
        """Numbers, their squares, and the hour with temperature and clouds: enough for a month."""
        hour = inputs[:, :2]
        mixed = [inputs[:, 3:4] * hour, inputs[:, 5:6] * hour, hour[:, :1] * hour[:, 1:]]
        return np.concatenate([np.ones((len(inputs), 1)), inputs, inputs**2, *mixed], 1)

    def r2(fitted_in: int, month: int) -> float:
        (x, y), (held_x, held_y) = year[fitted_in][0], year[month][1]
        weights = np.linalg.lstsq(features(x), y, rcond=None)[0]
        errors = held_y - features(held_x) @ weights
        return float((1 - (errors**2).sum(0) / ((held_y - held_y.mean(0)) ** 2).sum(0)).mean())

    assert r2(0, 0) > 0.9 and r2(6, 6) > 0.9
    assert r2(0, 6) < 0.6 and r2(6, 0) < 0.6


@pytest.mark.parametrize(
    ("example", "shorter", "score", "least"),
    [
        ("energy", ["stream.dataset.months=2", "train.epochs=4"], "r2", 0.5),
        ("tags", ["stream.dataset.years=2", "train.epochs=5"], "micro_f1", 0.5),
    ],
)
def test_the_examples_without_classes_learn(
    example: str, shorter: list[str], score: str, least: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    file, *_ = write_example(find_example(example), tmp_path)
    pipeline = load_pipeline(file, [*shorter, f"score={score}", f"storage={tmp_path / 'store'}"])
    last = train(pipeline)[-1]
    row = Lineage(open_store(pipeline.storage), pipeline.name).read(last).row
    found = [count.scores[score] for count in row[:2]]
    assert min(found) > least
