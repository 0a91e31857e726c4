"""The schema of a pipeline file.

Covers: `pipelines/config/sections/scaling_section.py`
"""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from pydantic import ValidationError

from pipelines.build import strategy_class
from pipelines.config.document import Document
from pipelines.config.load import load_text, with_settings
from pipelines.config.overrides import address
from pipelines.config.pipeline_errors import PipelineError
from pipelines.config.schema import ModelSpec, Pipeline, StrategySpec, TrackingSpec
from pipelines.config.sections.scaling_section import ScalingSpec
from pipelines.config.sections.stream_section import DatasetSpec, StreamSpec
from strategies.registry import BUILT_IN
from tests.pipelines import own_components
from tests.pipelines.documents import OWN, pipelines

MINIMAL: dict[str, Any] = {"name": "x", "stream": {"dataset": "digits", "experiences": 2}, "model": "mlp"}


def load(document: dict[str, Any]) -> Pipeline:
    return load_text(yaml.safe_dump(document))


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(pipelines())
def test_a_pipeline_is_written_and_read_back(document: dict[str, Any]) -> None:
    pipeline = load(document)
    written = pipeline.to_document()
    again = load(written)
    assert again == pipeline
    assert again.to_document() == written
    assert load(json.loads(json.dumps(written))) == pipeline
    assert pickle.loads(pickle.dumps(pipeline)) == pipeline
    assert with_settings(pipeline, {}) == pipeline.model_copy(update={"tune": None})


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(pipelines())
def test_flat_parameters_can_all_be_addressed(document: dict[str, Any]) -> None:
    pipeline = load(document)
    data = Document("x", pipeline.to_document(masked=True))
    # Experiences are numbers in a document and text in a path.
    data.data = json.loads(json.dumps(data.data))
    for path, value in pipeline.flat().items():
        found = data.get(address(data, path))
        if isinstance(found, list):
            assert value == json.dumps(found)
        elif value != "default":
            assert value == found and type(value) is type(found)


def test_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EVERLEARN_STORAGE", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    pipeline = load(MINIMAL)
    assert pipeline.seed == 0
    assert [spec.name for spec in pipeline.strategy] == ["naive"]
    assert (pipeline.train.epochs, pipeline.train.batch_size, pipeline.train.optimizer.name) == (1, 128, "adam")
    assert pipeline.storage == ".everlearn/store"
    assert pipeline.tracking == TrackingSpec(uri="sqlite:///.everlearn/mlflow.db", experiment="x")
    assert pipeline.tune is None and pipeline.published is None


def test_defaults_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERLEARN_STORAGE", "s3://bucket/x")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://host")
    pipeline = load(MINIMAL)
    assert (pipeline.storage, pipeline.tracking.uri) == ("s3://bucket/x", "http://host")


def test_made_in_python() -> None:
    stream = StreamSpec(dataset=DatasetSpec(name="digits"), experiences=2)
    made = Pipeline(name="x", stream=stream, model=ModelSpec(name="mlp"))
    assert made == load(MINIMAL)


def test_workers() -> None:
    assert (ScalingSpec().minimum, ScalingSpec().maximum) == (1, 1)
    assert (ScalingSpec(workers=(2, 4)).minimum, ScalingSpec(workers=(2, 4)).maximum) == (2, 4)
    for wrong in (0, -1, True, 1.5, "2", [1], [2, 1], [0, 1], [1, 2, 3], None):
        with pytest.raises(ValidationError):
            ScalingSpec.model_validate({"workers": wrong})


def test_options_of_strategies_are_their_own_class() -> None:
    strategy = [{"name": f"{OWN}:Hold", "lambda": 3}, "naive"]
    per_experience = {1: {"strategy": {f"{OWN}:Hold": {"lambda_": 5}}}}
    pipeline = load({**MINIMAL, "strategy": strategy, "train": {"per_experience": per_experience}})
    first, later = pipeline.strategy[0].options, pipeline.strategy_at(1)[0].options
    assert isinstance(first, own_components.HoldOptions) and first.lambda_ == 3
    assert isinstance(later, own_components.HoldOptions) and (later.lambda_, later.samples) == (5, 10)
    assert pipeline.strategy_at(0) == pipeline.strategy
    assert pipeline.strategy[1] == StrategySpec(name="naive")


def test_warnings_are_those_of_the_strategies() -> None:
    alone = load({**MINIMAL, "strategy": f"{OWN}:Hold"})
    assert alone.warnings() == [f"strategy.{OWN}:Hold: holds nothing in class-incremental: add another strategy"]
    assert load({**MINIMAL, "strategy": [f"{OWN}:Hold", "naive"]}).warnings() == []


def test_a_frozen_model_was_trained_before() -> None:
    """Whichever strategy freezes it; nothing is known of a model of one's own."""
    mlp = {"name": "mlp", "hidden": [4]}
    for kind in filter(lambda kind: kind.adapts_model, map(strategy_class, BUILT_IN)):
        made = {**MINIMAL, "strategy": [kind.name, "replay"], "model": mlp}
        (text,) = load(made).warnings()
        assert "mlp starts from random weights: set model.weights" in text
        assert load({**made, "model": {**mlp, "weights": "trained.safetensors"}}).warnings() == []


def strategies(*names: str, online: bool = False) -> Pipeline:
    return load({**MINIMAL, "stream": {**MINIMAL["stream"], "online": online}, "strategy": list(names)})


def test_strategies_of_other_packages_are_warned_about_as_the_built_in_ones_are() -> None:
    alone = "alone forgets on one head that all classes share (class-incremental): add {name: replay}, or use setting: "
    (text,) = strategies(f"{OWN}:Firm").warnings()
    assert text == f"strategy.{OWN}:Firm: {OWN}:Firm {alone}task-incremental"
    assert strategies("ewc", "der").warnings() == strategies(f"{OWN}:Firm", "der").warnings() == []
    assert strategies("ewc", f"{OWN}:Remember").warnings() == strategies(f"{OWN}:Remember", "lwf").warnings() == []
    assert strategies("agem", f"{OWN}:Remember").warnings() == []


def test_strategies_are_warned_about_by_the_names_that_the_file_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "everlearn_firm-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: everlearn-firm\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[everlearn.strategies]\newc-plus = {OWN}:Firm\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    (text,) = strategies("ewc-plus").warnings()
    assert text.startswith("strategy.ewc-plus: ewc-plus alone forgets ")
    with pytest.raises(PipelineError, match=r"strategy: gdumb trains .*, so ewc-plus has nothing to keep: use one of"):
        strategies("ewc-plus", "gdumb")
    with pytest.raises(PipelineError, match="icarl chooses what to train on, and an online stream shows"):
        strategies("ewc-plus", "icarl", online=True)


def test_flat_parameters() -> None:
    document = {
        **MINIMAL,
        "model": {"name": "mlp", "hidden": [3, 4]},
        "strategy": [{"name": f"{OWN}:Hold", "lambda": 3}, "naive"],
        "scaling": {"workers": [1, 2]},
    }
    flat = load(document).flat()
    assert flat["model.hidden"] == "[3, 4]"
    assert flat[f"strategy.{OWN}:Hold.lambda"] == 3.0
    assert flat["strategy.naive"] == "default"
    assert flat["scaling.workers"] == "[1, 2]"
    assert flat["stream.experiences"] == 2


def test_passwords_are_not_shown() -> None:
    uri = "https://me:secret@host"
    pipeline = load({**MINIMAL, "tracking": {"uri": uri}, "storage": "file://me:secret@host"})
    assert pipeline.to_document()["tracking"]["uri"] == uri
    for shown in (repr(pipeline), str(pipeline), str(pipeline.flat()), str(pipeline.to_document(masked=True))):
        assert "secret" not in shown
    assert pipeline.flat()["tracking.uri"] == "https://***@host"


def test_a_reference_in_a_value_is_not_expanded_when_read_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERLEARN_STORAGE", "folder/${HOME}")
    pipeline = load(MINIMAL)
    assert pipeline.storage == "folder/${HOME}"
    assert load(pipeline.to_document()) == pipeline
