"""`everlearn drift` on a table that arrives: columns, errors and an estimate, in the terminal, as JSON and in MLflow.

Covers: `orchestrator/tracking/drift_figures.py`
"""

from __future__ import annotations

import io
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from orchestrator.cli.main import invoke
from orchestrator.tracking.drift_figures import COLUMNS, OVER_TIME, columns_figure, over_time_figure
from orchestrator.tracking.mlflow_client import connect
from orchestrator.updates.drift_report import followed_errors
from pipelines.config.load import load_text
from pipelines.drift.column_change import column_changes
from pipelines.drift.stream_drift import ExperienceDrift
from pipelines.drift.verdicts import Verdict
from tests.orchestrator.updates.arrivals import lineage_of, step

FILE = """
name: table
stream:
  source: {{path: "{folder}/in", format: csv, classes: 2, ready: {{age: 0s}}}}
  setting: domain-incremental
model: {{name: mlp, hidden: [8]}}
train: {{batch_size: 20, epochs: 4, optimizer: {{lr: 0.03}}}}
storage: "{folder}/store"
tracking: {{uri: "{uri}"}}
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, new_database: Callable[[Path], str]) -> Path:
    """Four days; on the last one `amount` has moved, and the classes with it."""
    folder = tmp_path_factory.mktemp("table")
    (folder / "in").mkdir()
    text = FILE.format(folder=folder, uri=new_database(folder / "mlflow.db"))
    (folder / "table.yaml").write_text(text)
    random = np.random.default_rng(0)
    for day in range(4):
        label = random.integers(2, size=300)
        moved = 8 if day == 3 else 0
        amount = label * 3 + random.normal(size=300) + moved
        rows = [f"{random.integers(5)},{value:.3f},{one}" for value, one in zip(amount, label, strict=True)]
        path = folder / f"in/{day}.csv"
        path.write_text("\n".join(["region,amount,label", *rows]) + "\n")
        os.utime(path, (time.time() - 1000 + day,) * 2)
        step(load_text(text, "table.yaml"))
    return folder / "table.yaml"


def test_json_has_columns_errors_and_an_estimate_that_decides_nothing(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = lineage_of(load_text(file.read_text(), "table.yaml"))
    latest = first.ref("latest")
    assert latest is not None
    chain = first.chain(latest.commit)
    assert invoke(["drift", str(file), "--json", "--model", chain[2].id]) == 0
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    assert [one["drift"] for one in found] == [False, False, True]
    names = [[column["name"] for column in one["columns"]] for one in found]
    assert sorted(names[0]) == ["amount", "region"] and names[2] == ["amount", "region"]
    moved, still = found[2]["columns"]
    assert moved["stability"] > 1 and moved["wasserstein"] > 2 and still["stability"] < 0.2
    errors = [one["errors"] for one in found]
    assert [one["grown"] for one in errors] == [False, False, True]
    assert errors[2]["share"] == pytest.approx(0.5, abs=0.1) and errors[2]["now"] > errors[2]["before"] + 0.2
    # Where inputs move to places that the model does not know, it is as certain as ever.
    accuracy = [one["accuracy"] for one in found]
    assert accuracy[1]["estimated"] == pytest.approx(accuracy[1]["measured"], abs=0.1)
    assert accuracy[2]["estimated"] > accuracy[2]["measured"] + 0.2
    assert {i: one.share for i, one in followed_errors(first, chain[-1]).items()} == {
        index: one["errors"]["share"] for index, one in enumerate(found, 1)
    }


def test_the_terminal_says_the_same(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["drift", str(file), "--model", "latest"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "columns of experience 3, PSI: amount " in shown and "drift in experience 3" in shown
    assert "errors on experience 3 before it was learned: 0." in shown and ", grown from 0." in shown
    assert "estimated without labels" in shown


def test_figures_are_logged_to_the_run_and_replaced(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["drift", str(file), "--mlflow"]) == 2
    assert "MLflow has no run of pipeline table" in capsys.readouterr().err
    assert invoke(["publish", str(file), "--json"]) == 0
    run = json.loads(capsys.readouterr().out)["tracking"]["run_id"]
    for _ in range(2):
        assert invoke(["drift", str(file), "--mlflow"]) == 0
    pipeline = load_text(file.read_text(), "table.yaml")
    client = connect(pipeline.tracking.uri)
    stored = {Path(one.path).name: one.path for one in client.list_artifacts(run, "figures")}
    assert {OVER_TIME, COLUMNS} <= stored.keys()
    picture = Image.open(client.download_artifacts(run, stored[OVER_TIME], str(file.parent)))
    assert picture.size[0] > 600 and len(picture.convert("L").getcolors() or []) > 10


def test_figures_of_names_with_signs_and_of_many_columns() -> None:
    names = [f"column ${n}_$" for n in range(30)]
    random = np.random.default_rng(0)
    changes = column_changes(names, random.normal(size=(50, 30)), random.normal(size=(50, 30)))
    assert [one.stability for one in changes] == sorted((one.stability for one in changes), reverse=True)
    drifts = [
        ExperienceDrift(i, {"ks": Verdict(0.1 * i, 0.1, 0.5, i > 2), "labels": Verdict(0.0, 0.1, 1.0, False)}, changes)
        for i in range(1, 5)
    ]
    for data in (over_time_figure("$x$_1", drifts, {2: 0.5, 4: 0.1}), columns_figure("$x$", drifts[0])):
        assert Image.open(io.BytesIO(data)).format == "PNG"
    # Errors have a panel of their own.
    heights = [Image.open(io.BytesIO(over_time_figure("x", drifts, known))).height for known in ({}, {2: 0.5})]
    assert heights[0] < heights[1]
