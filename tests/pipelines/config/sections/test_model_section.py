"""The model part of a pipeline file: trained weights in all their forms, and models with an option of that name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from torch import nn

from pipelines.config.load import load_text
from pipelines.config.pipeline_errors import PipelineError
from pipelines.config.schema import Pipeline

HERE = "tests.pipelines.config.sections.test_model_section:own"


def own(input_shape: tuple[int, ...], outputs: int, *, weights: str | None = None) -> nn.Module:
    """A model of a user's own, which has an option `weights`."""
    return nn.Linear(input_shape[0], outputs)


def loaded(weights: Any, name: str = "mlp") -> Pipeline:
    document = {"name": "t", "stream": {"dataset": "digits"}, "model": {"name": name, "weights": weights}}
    return load_text(yaml.safe_dump(document))


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("a.pt", {"path": str(Path("a.pt").absolute())}),
        ("s3://bucket/a.safetensors", {"path": "s3://bucket/a.safetensors"}),
        ({"path": "/a.pth", "missing": ["head.*"]}, {"path": "/a.pth", "missing": ["head.*"]}),
        ({"commit": "latest", "pipeline": "base"}, {"commit": "latest", "pipeline": "base"}),
    ],
)
def test_what_is_written_is_read_again(written: Any, found: dict[str, Any]) -> None:
    made = loaded(written)
    assert made.to_document()["model"] == {"name": "mlp", "weights": found}
    assert made.model.options == {} and load_text(yaml.safe_dump(made.to_document())) == made


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (5, r":\d+: model\.weights: must be a file such as base\.safetensors"),
        ("a.bin", r"model\.weights: must end in \.safetensors, \.pt, \.pth"),
        ({"path": "a.pt", "mising": ["x"]}, r"model\.weights\.mising: unknown key, did you mean 'missing'\?"),
        ({"path": "a.pt", "commit": "latest"}, r"model\.weights: must be a file"),
        ({"path": "a.pt", "pipeline": "base"}, r"model\.weights\.pipeline: is for weights of a commit"),
        ({"commit": "latest"}, r"model\.weights\.pipeline: is required with commit"),
    ],
)
def test_what_is_wrong_is_said_at_its_place(written: Any, message: str) -> None:
    with pytest.raises(PipelineError, match=message):
        loaded(written)


def test_an_option_of_that_name_is_the_model_s_own() -> None:
    made = loaded("imagenet", HERE)
    assert made.model.options == {"weights": "imagenet"} and made.model.trained_weights is None
    assert load_text(yaml.safe_dump(made.to_document())) == made
    with pytest.raises(PipelineError, match=r"model\.weights: must be text"):
        loaded(5, HERE)
