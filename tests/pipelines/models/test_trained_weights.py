"""Weights that a model starts from: names, shapes and contents that fit, and errors that name the remedy."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import save_file
from torch import Tensor, nn

from pipelines.build import make_model, make_stream
from pipelines.config.load import load_text
from pipelines.config.pipeline_errors import PipelineError
from pipelines.models import trained_weights as module
from pipelines.models.trained_weights import hold, trained_weights


def made(weights: Any, hidden: int = 5) -> nn.Module:
    document = {
        "name": "t",
        "stream": {"dataset": "digits", "experiences": 2},
        "model": {"name": "mlp", "hidden": [hidden]} | ({"weights": weights} if weights else {}),
    }
    pipeline = load_text(yaml.safe_dump(document))
    return make_model(pipeline, make_stream(pipeline))


@pytest.fixture
def state() -> dict[str, Tensor]:
    return {name: tensor + 1 for name, tensor in made(None).state_dict().items()}


def equal(model: nn.Module, state: dict[str, Tensor]) -> bool:
    return all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())


def test_the_form_of_the_file_does_not_matter(state: dict[str, Tensor], tmp_path: Path) -> None:
    save_file(state, tmp_path / "a.safetensors")
    torch.save(state, tmp_path / "a.pt")
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "b.pth")
    contents = set()
    for name in ("a.safetensors", "a.pt", "b.pth"):
        assert equal(made(str(tmp_path / name)), state)
        pipeline = load_text(
            f"name: t\nstream: {{dataset: digits}}\nmodel: {{name: mlp, weights: {tmp_path / name}}}\n"
        )
        found = trained_weights(pipeline)
        assert found is not None
        contents.add(found.sha256)
    assert len(contents) == 1
    # A file that is written again is read again; what a process was handed, it does not read.
    save_file({name: tensor + 1 for name, tensor in state.items()}, tmp_path / "b.safetensors")
    pipeline = load_text(
        f"name: t\nstream: {{dataset: digits}}\nmodel: {{name: mlp, weights: {tmp_path}/b.safetensors}}\n"
    )
    handed = trained_weights(pipeline)
    assert handed is not None and handed.sha256 not in contents
    (tmp_path / "b.safetensors").unlink()
    with pytest.raises(PipelineError, match=r"model\.weights: .*b\.safetensors: there is no such file"):
        trained_weights(pipeline)
    hold(pipeline, handed)
    assert trained_weights(pipeline) is handed
    module._held.clear()


def test_parts_are_renamed_missing_and_ignored_as_it_is_said(state: dict[str, Tensor], tmp_path: Path) -> None:
    path = str(tmp_path / "a.pt")
    half = {"net." + name: tensor.half() for name, tensor in state.items() if name.startswith("body")}
    torch.save({**half, "other.weight": torch.zeros(3)}, path)
    model = made({"path": path, "rename": {"net.": ""}, "missing": ["head.*"], "ignore": ["other.*"]})
    first = made(None).state_dict()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, half["net." + name].float() if name.startswith("body") else first[name])


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (
            lambda state: {"module." + name: tensor for name, tensor in state.items()},
            {},
            r"has no body\.1\.weight \(nearest: module\.body\.1\.weight\).*`rename: \{\"module\.\": \"\"\}`",
        ),
        (
            lambda state: {name: tensor for name, tensor in state.items() if "head" not in name},
            {},
            r"has no head\.weight.*`missing: \[head\.\*\]` leaves",
        ),
        (
            lambda state: {**state, "heat.weight": torch.zeros(1)},
            {},
            r"what the model lacks: heat\.weight \(nearest: head\.weight\).*`ignore: \[heat\.\*\]` leaves it out",
        ),
        (
            lambda state: {**state, "head.bias": torch.zeros(2)},
            {},
            r"head\.bias is \[2\] in .*a\.pt, and \[10\] in the model.*`missing: \[head\.\*\]` and `ignore:",
        ),
        (lambda state: state, {"rename": {"body.1.bias": "x", "head.bias": "x"}}, r"model\.weights\.rename: two"),
        (lambda state: {"state_dict": {"a": 1}}, {}, r"a\.pt: 'a' is no tensor: save model\.state_dict\(\) alone"),
        (lambda state: [1, 2], {}, r"a\.pt: holds a list, not tensors by name"),
    ],
)
def test_what_does_not_fit_names_the_remedy(
    change: Any, options: dict[str, Any], message: str, state: dict[str, Tensor], tmp_path: Path
) -> None:
    torch.save(change(state), tmp_path / "a.pt")
    with pytest.raises(PipelineError, match=message):
        made({"path": str(tmp_path / "a.pt"), **options})


class Evil:
    def __reduce__(self) -> Any:
        return (print, ("code ran",))


def test_no_code_of_a_file_is_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"a": Evil()}, tmp_path / "a.pt")
    (tmp_path / "b.pt").write_bytes(pickle.dumps(Evil()))
    (tmp_path / "c.safetensors").write_bytes(b"no")
    for name, message in (("a.pt", "code in it is not run"), ("b.pt", r"b\.pt: "), ("c.safetensors", "no safetensors")):
        with pytest.raises(PipelineError, match=message):
            made(str(tmp_path / name))
    assert capsys.readouterr().out == ""
