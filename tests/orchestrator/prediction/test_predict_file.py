"""Files through a model: the same answers in every format and in parts of any size, and nothing left behind."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from orchestrator.checkpointing.load_model import load_model
from orchestrator.prediction import predict_file as module
from orchestrator.prediction.predict_file import predict_file
from orchestrator.serving.batch_answers import answer_batch, input_schema
from orchestrator.serving.export_folder import export_folder
from orchestrator.serving.model_swap import ServedModel
from orchestrator.serving.request_body import Question
from orchestrator.serving.standalone_preprocessing import inputs_of
from pipelines.config.load import load_text
from pipelines.config.pipeline_errors import DataError
from tests.orchestrator.prediction.conftest import Trained
from tests.orchestrator.train_stream import train
from tests.pipelines.data.images.drawn_images import draw


def write(rows: pd.DataFrame, path: Path) -> Path:
    if path.suffix == ".parquet":
        rows.to_parquet(path)
    elif ".csv" in path.name:
        rows.to_csv(path, index=False)
    else:
        kept = rows.astype(object).where(rows.notna(), None).assign(at=rows["at"].astype(str))
        path.write_text("".join(json.dumps(row) + "\n" for row in kept.to_dict("records")))
    return path


def read(path: Path) -> pd.DataFrame:
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    return pd.read_csv(path) if path.suffix == ".csv" else pd.read_json(path, lines=True)


@pytest.mark.parametrize("rows", [7, 8192])
@pytest.mark.parametrize("name", ["in.parquet", "in.csv", "in.csv.gz", "in.jsonl"])
def test_a_file_gets_the_answers_of_its_rows(
    name: str, rows: int, trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ROWS", rows)
    model = load_model(trained.pipeline)
    expected = model.predict(trained.rows)
    target = tmp_path / ("out.parquet" if "csv" in name else "out.csv")
    written = predict_file(model, str(write(trained.rows, tmp_path / name)), target)
    found = read(target)
    assert written.rows == len(found) == 60 and sum(written.predicted.values()) == 60
    assert list(found.columns) == ["tx", "prediction", "probability_bad", "probability_good"]
    assert found["tx"].tolist() == trained.rows["tx"].tolist()
    assert found["prediction"].tolist() == expected.labels.tolist()
    np.testing.assert_allclose(found[["probability_bad", "probability_good"]], expected.probabilities, atol=1e-6)
    assert {path.name for path in tmp_path.iterdir()} == {name, target.name}


def test_without_an_id_there_is_none_and_without_rows_there_are_columns(trained: Trained, tmp_path: Path) -> None:
    model = load_model(trained.pipeline)
    source = write(trained.rows.drop(columns="tx")[:0], tmp_path / "in.parquet")
    for name in ("out.csv", "out.parquet"):
        assert predict_file(model, str(source), tmp_path / name).rows == 0
        assert list(read(tmp_path / name).columns) == ["prediction", "probability_bad", "probability_good"]


def test_a_value_that_does_not_fit_is_named_and_leaves_no_file(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ROWS", 7)
    model = load_model(trained.pipeline)
    rows = trained.rows.astype({"amount": object})
    rows.loc[33, "amount"] = "lots"
    for name in ("in.csv", "in.jsonl"):
        with pytest.raises(DataError, match=rf"{name}: .*'lots' in row 33|amount.* in row 33"):
            predict_file(model, str(write(rows, tmp_path / name)), tmp_path / "out.csv")
    with pytest.raises(DataError, match=r"in.csv: has no column 'country', which the model was trained on"):
        predict_file(model, str(write(rows.drop(columns="country"), tmp_path / "in.csv")), tmp_path / "out.csv")
    with pytest.raises(DataError, match=r"in.txt: must end in .parquet, .csv"):
        predict_file(model, str(write(trained.rows, tmp_path / "in.txt")), tmp_path / "out.csv")
    assert {path.name for path in tmp_path.iterdir()} == {"in.csv", "in.jsonl", "in.txt"}


def test_arrays_and_plain_columns_get_the_answers_of_their_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ROWS", 7)
    draw = np.random.default_rng(0)
    x, y = draw.random((40, 3), np.float32), np.arange(40) % 2
    np.savez(tmp_path / "in.npz", x=x, y=y, key=np.arange(40) * 3)
    text = (
        f"name: n\nmodel: {{name: mlp, hidden: [4]}}\nstorage: {tmp_path / 'store'}\n"
        "train: {steps: 2, batch_size: 8}\n"
        f"stream: {{dataset: {{name: npz, path: {tmp_path / 'in.npz'}, id: key}}, experiences: 2}}\n"
    )
    pipeline = load_text(text)
    model = load_model(pipeline, train(pipeline)[-1])
    predict_file(model, str(tmp_path / "in.npz"), tmp_path / "out.jsonl")
    found, expected = read(tmp_path / "out.jsonl"), model.predict(x)
    assert found["key"].tolist() == (np.arange(40) * 3).tolist()
    np.testing.assert_allclose(found[["probability_0", "probability_1"]], expected.probabilities, atol=1e-6)
    plain = pd.DataFrame(x, columns=["a", "b", "c"])
    plain.to_parquet(tmp_path / "plain.parquet")
    predict_file(model, str(tmp_path / "plain.parquet"), tmp_path / "plain.csv")
    np.testing.assert_allclose(read(tmp_path / "plain.csv").iloc[:, 1:], expected.probabilities, atol=1e-6)
    plain.loc[20, "b"] = None
    plain.to_parquet(tmp_path / "plain.parquet")
    with pytest.raises(DataError, match=r"plain.parquet: column 'b' has no value in row 20"):
        predict_file(model, str(tmp_path / "plain.parquet"), tmp_path / "more.csv")


def test_columns_of_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths begin at the file's folder. A client of a service names none, and no export opens files."""
    monkeypatch.setenv("EVERLEARN_IMAGE_CACHE_GB", "0")
    monkeypatch.setattr(module, "IMAGES", 5)
    folder = tmp_path / "data"
    for row in range(12):
        draw(folder / f"{row}.png", 250 - row if row % 2 else row, (8, 8))
    rows = pd.DataFrame(
        {"photo": [f"{row}.png" for row in range(12)], "price": range(12), "kind": ["dark", "light"] * 6}
    )
    rows.to_csv(folder / "0.csv", index=False)
    pipeline = load_text(
        f"name: t\nmodel: {{name: tabular-mlp, hidden: [6]}}\nstorage: {tmp_path / 'store'}\n"
        "stream:\n  setting: domain-incremental\n"
        f"  dataset: {{name: csv, path: {folder}, label: kind, "
        "features: {image: [photo], size: 8, channels: grey}}\n"
        "train: {epochs: 20, batch_size: 4, optimizer: {name: adam, lr: 0.02}}\n"
    )
    model = load_model(pipeline, train(pipeline)[-1])
    for name in ("in.parquet", "in.csv"):
        unknown = pd.DataFrame({"photo": ["11.png", None, *rows["photo"][:8]], "price": [3] * 10})
        written = predict_file(model, str(write_plain(unknown, folder / name)), tmp_path / f"out-{name}")
        assert written.rows == 10
    found = read(tmp_path / "out-in.csv")
    assert found["prediction"].tolist()[2:] == ["dark", "light"] * 4
    pd.testing.assert_frame_equal(read(tmp_path / "out-in.parquet"), found, check_dtype=False)
    unknown.loc[7, "photo"] = "no.png"
    source = write_plain(unknown, folder / "in.csv")
    with pytest.raises(DataError, match=r"in\.csv: column 'photo', row 7: no\.png: there is no such file"):
        predict_file(model, str(source), tmp_path / "none.csv")
    monkeypatch.chdir(folder)
    in_memory = model.predict({"photo": ["11.png", None], "price": [3, 3]})
    np.testing.assert_allclose(in_memory.probabilities, found.iloc[:2, -2:], atol=1e-6)
    served = ServedModel("c" * 64, model, torch.float32)
    for body, content in ((b'{"rows": [{"photo": "0.png"}]}', "application/json"), (b"photo\n0.png\n", "text/csv")):
        (reply,) = answer_batch(served, [Question(body, content)])
        assert reply.status == 400 and "images from the column 'photo', which a request cannot name" in str(
            reply.document
        )
    (reply,) = answer_batch(served, [Question(json.dumps({"inputs": [[0.0] * 67]}).encode(), "application/json")])
    assert reply.status == 200 and "columns" not in input_schema(served)
    written = export_folder(model, "c" * 64, "t", tmp_path / "exported")
    assert written["graph"] and written["image_columns"] == ["photo"]
    graph = torch.export.load(tmp_path / "exported/data/model.pt2").module()
    document = json.loads((tmp_path / "exported/preprocessing.json").read_text())
    inputs = inputs_of([{"photo": "11.png", "price": 3}, {"price": 3}], document)
    logits = graph(torch.from_numpy(inputs)).detach()
    np.testing.assert_allclose(logits.softmax(1), in_memory.probabilities, atol=1e-6)


def write_plain(rows: pd.DataFrame, path: Path) -> Path:
    rows.to_parquet(path) if path.suffix == ".parquet" else rows.to_csv(path, index=False)
    return path
