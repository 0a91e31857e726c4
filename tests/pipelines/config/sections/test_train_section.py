import json
from typing import Any

import pytest
from pydantic import ValidationError

from pipelines.config.sections.train_section import OptimizerSpec, TrainSpec, merge_train


def spec(**fields: Any) -> TrainSpec:
    return TrainSpec.model_validate_json(json.dumps(fields))


def test_one_epoch_unless_something_is_said() -> None:
    assert (spec().epochs, spec().steps) == (1, None)
    assert (spec(steps=5).epochs, spec(steps=5).steps) == (None, 5)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"epochs": 1, "steps": 1}, "epochs or steps, not both"),
        ({"epochs": None}, "give epochs or steps"),
        ({"batch_size": 4, "accumulate": 8}, "must be at most batch_size, which is 4"),
        ({"per_experience": {"1": {"per_experience": {}}}}, "cannot hold another per_experience"),
        ({"per_experience": {"1": {"clip": -1}}}, "per_experience.1.clip: must be above 0, got -1"),
        ({"per_experience": {"1": {"epoch": 1}}}, "per_experience.1.epoch: unknown key, did you mean 'epochs'?"),
        (
            {"per_experience": {"1": {"epochs": 1, "steps": 1}}},
            "per_experience.1.steps: give epochs or steps, not both",
        ),
        ({"per_experience": {"-1": {}}}, "greater than or equal to 0"),
    ],
)
def test_what_does_not_fit(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as error:
        spec(**fields)
    assert message in str(error.value)


def test_an_experience_has_its_own_settings() -> None:
    train = spec(
        epochs=3,
        optimizer={"name": "sgd", "lr": 0.1, "momentum": 0.9},
        per_experience={"1": {"steps": 7, "optimizer": {"lr": 0.01}}, "2": {"optimizer": {"name": "adam"}}},
    )
    assert train.at(0) == spec(epochs=3, optimizer={"name": "sgd", "lr": 0.1, "momentum": 0.9})
    assert train.at(1) == spec(steps=7, optimizer={"name": "sgd", "lr": 0.01, "momentum": 0.9})
    assert train.at(2) == spec(epochs=3, optimizer={"name": "adam"})
    assert train.at(2).optimizer.options == {"lr": 0.001}
    assert train.at(1).at(1) == train.at(1)


def test_a_scheduler_can_be_dropped_or_changed() -> None:
    train = spec(
        scheduler={"name": "StepLR", "step_size": 3},
        per_experience={"1": {"scheduler": None}, "2": {"scheduler": {"gamma": 0.5}}},
    )
    assert train.at(1).scheduler is None
    changed = train.at(2).scheduler
    assert changed is not None and changed.options == {"step_size": 3, "gamma": 0.5}


def test_strategy_options_of_an_experience() -> None:
    train = spec(per_experience={"1": {"strategy": {"ewc": {"lambda": 3}}}})
    assert train.strategy_options(1) == {"ewc": {"lambda": 3}}
    assert train.strategy_options(0) == {}


def test_merging_leaves_its_arguments_alone() -> None:
    base = {"epochs": 1, "optimizer": {"name": "adam", "lr": 1}}
    override = {"steps": 2, "optimizer": {"lr": 2}}
    assert merge_train(base, override) == {"steps": 2, "optimizer": {"name": "adam", "lr": 2}}
    assert base == {"epochs": 1, "optimizer": {"name": "adam", "lr": 1}}


def test_torchs_keyword_arguments() -> None:
    optimizer = OptimizerSpec.model_validate({"name": "sgd", "lr": 0.1, "reset": True, "momentum": 0.9})
    assert optimizer.options == {"lr": 0.1, "momentum": 0.9}
