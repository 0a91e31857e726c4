"""Numbers that no computer can hold are errors of the file, with the reason, and never called a bug."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from orchestrator.cli.main import invoke
from pipelines.config.component_options import options_model, validate
from pipelines.config.components import BUILT_IN
from pipelines.config.load import load_text
from pipelines.config.optimizers import OPTIMIZERS, scheduler_model
from tests.orchestrator.cli.lineages import write_pipeline

NUMBERS = [".inf", "-.inf", ".nan"]
FILE = """
name: small
stream: {dataset: digits, setting: class-incremental, experiences: 2}
model: {name: mlp, hidden: [8]}
strategy: [{name: ewc, lambda: 1}]
train: {epochs: 1, batch_size: 64, warmup: 0}
"""


def numeric(schema: dict[str, Any]) -> bool:
    """Whether a field's JSON schema takes a number anywhere."""
    inner = [*schema.get("anyOf", []), *schema.get("prefixItems", [])]
    inner += [schema["items"]] if isinstance(schema.get("items"), dict) else []
    return schema.get("type") in ("number", "integer") or any(numeric(one) for one in inner)


def option_classes() -> list[tuple[str, type[BaseModel]]]:
    found = [(name, options_model(kind, name)) for kind, table in BUILT_IN.items() for name in table]
    found += list(OPTIMIZERS.items())
    return found + [
        (name, scheduler_model(name)) for name in ("StepLR", "ExponentialLR", "CosineAnnealingLR", "OneCycleLR")
    ]


def numeric_options() -> list[Any]:
    return [
        pytest.param(kind, key, id=f"{name}.{key}")
        for name, kind in option_classes()
        for key, schema in kind.model_json_schema().get("properties", {}).items()
        if numeric(schema)
    ]


@pytest.mark.parametrize("number", [float("inf"), float("-inf"), float("nan")])
@pytest.mark.parametrize(("kind", "key"), numeric_options())
def test_every_numeric_option_refuses_it(kind: type[BaseModel], key: str, number: float) -> None:
    for value in (number, [number]):
        with pytest.raises(ValidationError) as refused:
            validate(kind, {key: value})
        assert any(details["loc"][:1] == (key,) for details in refused.value.errors())


def test_the_search_finds_the_options() -> None:
    assert len(numeric_options()) > 60


def test_a_field_that_says_so_takes_it() -> None:
    class Limits(BaseModel):
        model_config = ConfigDict(extra="forbid")

        above: float = Field(default=0.0, allow_inf_nan=True)
        below: float = 0.0

    assert validate(Limits, {"above": float("inf")})[0] == Limits(above=float("inf"))
    with pytest.raises(ValidationError):
        validate(Limits, {"below": float("inf")})


KEYS = [
    *("seed", "stream.experiences", "stream.blurry", "train.epochs", "train.steps", "train.batch_size", "train.warmup"),
    *("train.clip", "train.accumulate", "train.optimizer.lr", "scaling.workers", "scaling.resources.CPU"),
    *(
        "strategy.ewc.lambda",
        "model.hidden",
        "model.dropout",
        "published.average_accuracy",
        "train.per_experience.1.clip",
    ),
]


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("key", KEYS)
def test_every_number_of_the_file(
    key: str, number: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.yaml").write_text(FILE)
    load_text(FILE)
    assert invoke(["validate", "p.yaml", "--set", f"{key}={number}"]) == 2
    err = capsys.readouterr().err
    assert f"--set {key}={number}: " in err and "bug" not in err


@pytest.mark.parametrize(
    "setting",
    [
        "model.hidden=[1000000000000]",
        "model.hidden=[100000000000000000]",
        "model.hidden=[4611686018427387904]",
        "model.hidden=[400000, 400000, 400000]",
        "model={name: resnet18-slim, filters: 1000000000}",
        "model={name: cnn, hidden: 1000000000000000}",
        "model={name: mlp, hidden: [10000000000000000000000]}",
    ],
)
def test_a_model_that_cannot_be_allocated(
    setting: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_pipeline(tmp_path)
    assert invoke(["validate", "small.yaml", "--set", setting]) == 2
    err = capsys.readouterr().err
    assert "model" in err and "bug" not in err and len(err.splitlines()) <= 2


def test_batches_of_any_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_pipeline(tmp_path)
    assert invoke(["validate", "small.yaml", "--set", "train.batch_size=9000000000000000000"]) == 0
