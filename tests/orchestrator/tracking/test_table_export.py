"""A model for tables in MLflow, loaded and used in a process that has no Everlearn.

Covers: `orchestrator/tracking/table_pyfunc.py`
"""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas
import pytest
import yaml
from PIL import Image

from orchestrator import load_model, run
from orchestrator.checkpointing.load_model import model_maker
from orchestrator.lineage.lineage import Lineage
from orchestrator.storage.open_by_uri import open_store
from orchestrator.tracking.champion_alias import register_models
from orchestrator.tracking.mlflow_client import connect
from orchestrator.tracking.publish_lineage import publish
from pipelines.config.load import load_text

OBJECTIVES = {
    "classification": "label: kind",
    "multi-label": "label: [a, b]",
    "regression": "label: [price, load]",
}
USE = """
import importlib.util, json, sys
sys.path = [p for p in sys.path if p not in ("", sys.argv[1])]
sys.meta_path = [f for f in sys.meta_path if "editable" not in repr(f)]
for name in ("orchestrator", "pipelines", "strategies"):
    assert importlib.util.find_spec(name) is None, name
import mlflow, pandas
for place in sys.argv[2:]:
    model = mlflow.pyfunc.load_model(place + "/artifacts")
    table = pandas.read_parquet(place + "/table.parquet")
    model.predict(table).to_parquet(place + "/answers.parquet")
    model.predict(table[:1]).to_parquet(place + "/first.parquet")
    assert list(model.predict(model.input_example).columns) == model.metadata.get_output_schema().input_names()
    # As MLflow's server reads a request: the bytes of images are base64.
    example = open(place + "/artifacts/serving_input_example.json").read()
    served = mlflow.models.validate_serving_input(place + "/artifacts", example)
    assert served.equals(model.predict(model.input_example))
    if "photo" in table.columns:
        try:
            said = model._model_impl.predict(table.assign(photo="/etc/hostname"))
        except Exception as error:
            said = str(error)
        assert "column 'photo' takes images as the bytes" in said, said
"""


def picture(value: float) -> bytes:
    """A PNG file, brighter to the right, of a shade that follows from the value."""
    kept = io.BytesIO()
    pixels = np.linspace(0, 20 * abs(value), 90).clip(0, 255).astype(np.uint8).reshape(9, 10)
    Image.fromarray(pixels).save(kept, "PNG")
    return kept.getvalue()


def table(rows: int = 60) -> pandas.DataFrame:
    random = np.random.default_rng(0)
    amount = random.normal(5, 2, rows)
    note = np.array(["paid at once", "late again!", None], dtype=object)[np.arange(rows) % 3]
    return pandas.DataFrame(
        {
            "amount": np.where(np.arange(rows) % 7 == 0, np.nan, amount),
            "shop": np.array(["north", "south", None], dtype=object)[random.integers(0, 3, rows)],
            "code": random.integers(0, 4, rows),
            "note": note,
            "at": pandas.Timestamp("2026-01-01") + pandas.to_timedelta(random.integers(0, 10**6, rows), unit="s"),
            "kind": np.where(amount > 5, "good", "bad"),
            "a": (amount > 4).astype(int),
            "b": (amount > 6).astype(int),
            "price": amount * 10,
            "load": amount + 1,
            "part": np.arange(rows) % 2,
            "photo": [None if row % 5 == 4 else picture(value) for row, value in enumerate(amount)],
        }
    )


def test_the_answers_are_those_of_load_model(tmp_path: Path) -> None:
    whole, places = table(), []
    expected: dict[str, pandas.DataFrame] = {}
    for objective, label in OBJECTIVES.items():
        place = tmp_path / objective
        place.mkdir()
        targets = [name.strip() for name in label.partition(": ")[2].strip("[]").split(",")]
        inputs = ["amount", "shop", "code", "note", "at"]
        images = ", image: [photo], size: 6, channels: grey" if objective == "classification" else ""
        inputs += ["photo"] if images else []
        whole[[*inputs, *targets, "part"]].to_parquet(place / "rows.parquet")
        pipeline = load_text(
            f"name: {objective}\nobjective: {objective}\nstorage: {place / 'store'}\n"
            f"stream:\n  dataset: {{name: parquet, path: {place / 'rows.parquet'}, by: part, {label}, "
            f"features: {{categorical: [code], text: [note]{images}}}}}\n  setting: domain-incremental\n"
            "model: {name: tabular-mlp, hidden: [8]}\nstrategy: naive\ntrain: {epochs: 2, batch_size: 8}\n"
            f"tracking: {{uri: 'sqlite:///{tmp_path / 'mlflow.db'}', experiment: {objective}}}\n"
        )
        chain = list(run(pipeline).lineage)
        lineage = Lineage(open_store(pipeline.storage), pipeline.name)
        commits = [lineage.read(id_) for id_ in chain]
        publish(pipeline, commits, stream_length=2)
        warnings: list[str] = []
        versions = register_models(pipeline, chain, model_maker(pipeline, None, lineage), warn=warnings.append)
        assert (versions, warnings) == (["1", "2"], [])
        assert register_models(pipeline, chain, lambda id_: None, warn=warnings.append) == versions
        client = connect(pipeline.tracking.uri)
        source = Path(client.get_model_version(objective, "2").source.removeprefix("file://"))
        assert source.name == "artifacts"
        signature = yaml.safe_load((source / "MLmodel").read_text())["signature"]
        assert [column["name"] for column in json.loads(signature["inputs"])] == inputs
        shutil.copytree(source, place / "artifacts")
        rows = whole[inputs].sample(frac=1, random_state=1)
        rows.loc[rows.index[0], "shop"] = "a shop that training did not have"
        rows.to_parquet(place / "table.parquet")
        expected[objective] = pandas.DataFrame(load_model(pipeline, chain[-1]).predict(rows).columns(), rows.index)
        places.append(place)
    root = str(Path(__file__).parents[3])
    command = [sys.executable, "-c", USE, root, *map(str, places)]
    subprocess.run(command, check=True, cwd=tmp_path, timeout=300)
    for place in places:
        wanted = expected[place.name]
        for name, rows in (("answers", wanted), ("first", wanted[:1])):
            found = pandas.read_parquet(place / f"{name}.parquet")
            pandas.testing.assert_frame_equal(found, rows, rtol=1e-5, check_dtype=False)
    assert {"prediction", "probability_good", "probability_bad"} == {*expected["classification"]}
    assert {"prediction_price", "prediction_load"} == {*expected["regression"]}


@pytest.mark.parametrize("model", ["tabular-mlp", "ft-transformer"])
def test_models_for_tables_can_be_exported(model: str, tmp_path: Path) -> None:
    import torch

    from orchestrator.prediction.predicting import Manner
    from orchestrator.prediction.predictions import classes
    from orchestrator.tracking.table_export import export_table_model
    from pipelines.data.features.encoders import Categorical, Numeric
    from pipelines.data.features.preprocessing import Preprocessing
    from pipelines.data.model_inputs import ModelInputs
    from pipelines.models.build_model import build_model

    made = Preprocessing((Numeric("x", 1.0, 2.0), Categorical("c", ("a", "b"))))
    network = build_model(model, {}, (3,), 2, 0, layout=made.layout).eval()
    use = Manner(ModelInputs((3,), made), ("no", "yes"), classes)
    content = export_table_model(tmp_path / "model", network, use)
    assert content["flavors"]["python_function"]["code"] == "code"
    graph = torch.export.load(tmp_path / "model/data/model.pt2").module()
    inputs = torch.tensor([[0.5, 0.0, 2.0]] * 7)
    assert torch.allclose(graph(inputs), network(inputs), atol=1e-5)
