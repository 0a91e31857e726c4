"""An exported model gives the same outputs without Everlearn, and as an adapter with PEFT.

Covers: `orchestrator/cli/export.py`, `orchestrator/serving/adapter_files.py`
Covers: `orchestrator/serving/standalone_preprocessing.py`
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from PIL import Image as Picture
from safetensors.torch import load_file

from orchestrator.checkpointing.load_model import load_model
from orchestrator.cli.main import invoke
from orchestrator.prediction.predicting import manner
from orchestrator.serving.adapter_files import write_adapter
from orchestrator.serving.batch_answers import task_network
from orchestrator.serving.export_folder import export_folder
from orchestrator.serving.standalone_preprocessing import inputs_of
from pipelines.config.load import load_text
from pipelines.data.features.feature_columns import FeatureColumn, FeatureOptions
from pipelines.data.features.preprocessing import Preprocessing
from pipelines.data.features.text_encoder import Text
from pipelines.models.build_model import build_model
from pipelines.models.tabular_mlp import TabularMLP
from strategies.adapters.bottleneck import BottleneckLinear
from tests.orchestrator.cli.commands import documented
from tests.orchestrator.serving.adapters import Adapted, chains
from tests.orchestrator.serving.conftest import Trained
from tests.orchestrator.train_stream import train
from tests.required import missing

__all__ = ["chains"]

ALONE = """
import json, sys, torch
from preprocessing import inputs_of
rows = json.load(open("rows.json"))
model = torch.export.load("data/model.pt2").module()
outputs = model(torch.from_numpy(inputs_of(rows, json.load(open("preprocessing.json")))))
assert not [name for name in sys.modules if name.split(".")[0] in ("orchestrator", "pipelines", "strategies")]
torch.save(outputs, "outputs.pt")
"""


def test_a_folder_needs_no_everlearn(trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "model"
    written = documented(capsys, 0, "export", str(trained.file), "latest", str(folder))
    assert written["graph"] and written["preprocessing"] and not written["adapter"]
    assert written["outputs"] == ["bad", "good"] == json.loads((folder / "model.json").read_text())["outputs"]
    rows = [
        {name: value for name, value in row.items() if not pd.isna(value)}
        for row in trained.rows.assign(at=trained.rows["at"].astype(str)).to_dict("records")
    ]
    (folder / "rows.json").write_text(json.dumps(rows))
    done = subprocess.run([sys.executable, "-c", ALONE], cwd=folder, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    model = load_model(trained.pipeline)
    with torch.no_grad():
        expected = model(manner(model).inputs.of(trained.rows))
    assert torch.allclose(torch.load(folder / "outputs.pt"), expected, atol=1e-6)
    assert load_file(folder / "model.safetensors").keys() == model.state_dict().keys()
    assert (
        "a dictionary for each" in (folder / "README.md").read_text()
        and "'amount': ..." in (folder / "README.md").read_text()
    )
    document = json.loads((folder / "preprocessing.json").read_text())
    with pytest.raises(
        TypeError, match=r"a dictionary for each row, such as \[\{'.*': \.\.\., .*not list of list; .*records"
    ):
        inputs_of([[1, 2, 3]], document)  # type: ignore[list-item]
    with pytest.raises(TypeError, match="not DataFrame"):
        inputs_of(trained.rows, document)
    assert invoke(["export", str(trained.file), "latest", str(folder)]) == 2
    assert "exists already" in capsys.readouterr().err and not list(tmp_path.glob(".*"))


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["{name: lora, rank: 2, alpha: 6}", "{name: o-lora, rank: 2, alpha: 6}"])
def test_peft_loads_the_adapter_of_lora(strategy: str, tmp_path: Path) -> None:
    try:
        import peft
    except ImportError:
        missing("peft is not installed")
    pipeline = load_text(
        f"name: d\nmodel: {{name: mlp, hidden: [12, 6]}}\nstorage: {json.dumps(str(tmp_path / 'store'))}\n"
        f"strategy: {strategy}\nstream: {{dataset: digits, experiences: 2}}\n"
        "train: {steps: 5, batch_size: 20}\n"
    )
    commit = train(pipeline)[-1]
    model = load_model(pipeline, commit)
    assert export_folder(model, commit, "d", tmp_path / "out")["adapter"]
    adapter = tmp_path / "out" / "adapter"
    base = build_model("mlp", pipeline.model.options, (1, 8, 8), 10, seed=99)
    base.load_state_dict(load_file(adapter / "base.safetensors"))
    inputs = torch.randn(5, 1, 8, 8)
    with torch.no_grad():
        plain, expected = base(inputs), model(inputs)
        found = peft.PeftModel.from_pretrained(base, str(adapter))(inputs)
    assert torch.allclose(found, expected, atol=1e-6) and not torch.allclose(plain, expected, atol=1e-4)


@pytest.mark.parametrize("channels", ["rgb", "grey"])
def test_images_have_the_pixels_that_training_gives_them(channels: str, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    colours = random.integers(0, 256, (40, 50, 4), dtype=np.uint8)
    deep = random.integers(0, 1 << 16, (30, 20)).astype(np.uint16)
    turned = Picture.Exif()
    turned[0x0112] = 6
    made = {
        "transparent.png": (Picture.fromarray(colours), {}),
        "palette.png": (Picture.fromarray(colours[..., :3]).quantize(9), {"transparency": 3}),
        "deep.png": (Picture.fromarray(deep), {}),
        "turned.jpg": (Picture.fromarray(colours[:, :20, :3]), {"exif": turned}),
        "large.jpg": (Picture.fromarray(np.tile(colours[..., :3], (4, 4, 1))), {}),
        "ready.png": (Picture.fromarray(colours[:6, :8, 0]), {}),
    }
    for name, (image, options) in made.items():
        image.save(tmp_path / name, **options)
    files = [str(tmp_path / name) for name in made]
    rows: list[str | bytes | None] = [*files, *(Path(file).read_bytes() for file in files), None]
    table = pa.table({"photo": pa.array([Path(row).read_bytes() if isinstance(row, str) else row for row in rows])})
    options = FeatureOptions(size=(6, 8), channels=channels)  # type: ignore[arg-type]
    fitted = Preprocessing.fit([FeatureColumn("photo", "image")], table, np.arange(6), options, "t")
    found = inputs_of([{"photo": row} for row in rows], fitted.document())
    np.testing.assert_allclose(found, fitted.transform(table, "t"), atol=1e-5)
    assert found[-1, -1] == 1 and len(np.unique(found[:6], axis=0)) == 6


@pytest.mark.slow
def test_peft_loads_an_adapter_for_each_experience(chains: dict[str, Adapted], tmp_path: Path) -> None:
    try:
        import peft
    except ImportError:
        missing("peft is not installed")
    chain = chains["experience"]
    model = load_model(chain.pipeline, chain.commits[-1])
    network = task_network(model)
    assert network is not None and export_folder(model, chain.commits[-1], "d", tmp_path / "out")["adapter"]
    folder = tmp_path / "out" / "adapter"
    base = build_model("mlp", chain.pipeline.model.options, (1, 8, 8), 10, seed=99)
    base.load_state_dict(load_file(folder / "base.safetensors"))
    inputs = torch.randn(5, 1, 8, 8)
    loaded = peft.PeftModel.from_pretrained(base, str(folder / "experience_0"), adapter_name="0")
    for experience in (1, 2):
        loaded.load_adapter(str(folder / f"experience_{experience}"), adapter_name=str(experience))
    for experience in (2, 0, 1):
        loaded.set_adapter(str(experience))
        loaded.eval()
        with torch.no_grad():
            assert torch.allclose(loaded(inputs), network.answer(inputs, experience), atol=1e-6)


def test_adapters_that_peft_cannot_load_are_said_and_the_model_is_exported(
    chains: dict[str, Adapted], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chain = chains["experts"]
    assert invoke(["export", str(chain.file), chain.commits[-1], str(tmp_path / "experts")]) == 0
    assert "no files for PEFT" in capsys.readouterr().err and not (tmp_path / "experts" / "adapter").exists()
    bottleneck = BottleneckLinear(torch.nn.Linear(3, 3), 1.0)
    reason = write_adapter(torch.nn.Sequential(bottleneck), tmp_path / "other")
    assert reason and "of this kind" in reason and write_adapter(torch.nn.Linear(2, 2), tmp_path / "none") == ""
    assert not (tmp_path / "other").exists()


def test_texts_have_the_codes_that_training_gives_them() -> None:
    texts = ["It’s GOOD, isn't it?", None, "ﬁne Straße", "a b c d e f g"]
    values = np.empty(len(texts), dtype=object)
    values[:] = texts
    made = Text.fit("note", values[:3], 6, 5)
    found = inputs_of([{} if text is None else {"note": text} for text in texts], Preprocessing((made,)).document())
    assert np.array_equal(found, made.encode(values)) and found.max() > 2
    model = TabularMLP((5,), 2, layout=Preprocessing((made,)).layout).eval()
    exported = torch.export.export(model, (torch.from_numpy(found),)).module()
    assert torch.allclose(exported(torch.from_numpy(found)), model(torch.from_numpy(found)))
