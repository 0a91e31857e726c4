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
import pytest
import torch
from safetensors.torch import load_file

from orchestrator.checkpointing.load_model import load_model
from orchestrator.cli.main import invoke
from orchestrator.prediction.predicting import manner
from orchestrator.serving.export_folder import export_folder
from orchestrator.serving.standalone_preprocessing import inputs_of
from pipelines.config.load import load_text
from pipelines.data.features.preprocessing import Preprocessing
from pipelines.data.features.text_encoder import Text
from pipelines.models.build_model import build_model
from pipelines.models.tabular_mlp import TabularMLP
from tests.orchestrator.cli.commands import documented
from tests.orchestrator.serving.conftest import Trained
from tests.orchestrator.train_stream import train
from tests.required import missing

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
    assert invoke(["export", str(trained.file), "latest", str(folder)]) == 2
    assert "exists already" in capsys.readouterr().err and not list(tmp_path.glob(".*"))


@pytest.mark.slow
def test_peft_loads_the_adapter_of_lora(tmp_path: Path) -> None:
    try:
        import peft
    except ImportError:
        missing("peft is not installed")
    pipeline = load_text(
        f"name: d\nmodel: {{name: mlp, hidden: [12, 6]}}\nstorage: {json.dumps(str(tmp_path / 'store'))}\n"
        "strategy: {name: lora, rank: 2, alpha: 6}\nstream: {dataset: digits, experiences: 2}\n"
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
