from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ValidationError

from pipelines.config.component_options import options_model, signature_model, strategy_options, validate
from tests.pipelines import own_components

OWN = "tests.pipelines.own_components"


class Sample(BaseModel):
    number: float = 0
    whole: int = 0
    flag: bool = False
    word: Literal["true", "empirical"] = "true"
    pair: tuple[int, int] = (0, 0)


@pytest.mark.parametrize(
    ("given", "understood"),
    [
        ({"number": 1}, {"number": 1}),
        ({"number": "1e-3"}, {"number": 0.001}),
        ({"whole": 200.0}, {"whole": 200}),
        ({"whole": "2e2"}, {"whole": 200}),
        ({"word": True}, {"word": "true"}),
        ({"pair": [1.0, "1e1"]}, {"pair": [1, 10]}),
    ],
)
def test_what_samplers_and_yaml_write_is_understood(given: dict[str, Any], understood: dict[str, Any]) -> None:
    before = repr(given)
    options, plain = validate(Sample, given)
    assert plain == understood and repr(given) == before
    assert options == Sample.model_validate(understood)


@pytest.mark.parametrize(
    "given",
    [
        {"number": "1"},
        {"number": True},
        {"whole": 1.5},
        {"whole": True},
        {"flag": 1},
        {"flag": "yes"},
        {"word": False},
        {"pair": [1, 2, 3]},
    ],
)
def test_nothing_else_is_converted(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        validate(Sample, given)


def test_a_validator_before_pydantics_own_does_not_make_lists_unfit_for_tuples() -> None:
    options = strategy_options(f"{OWN}:Checked", {"pair": [3, 4]})
    assert isinstance(options, own_components.CheckedOptions) and options.pair == (3, 4)


def test_a_strategy_declares_its_options() -> None:
    assert options_model("strategies", f"{OWN}:Hold") is own_components.HoldOptions
    options = strategy_options(f"{OWN}:Hold", {"lambda": 3})
    assert isinstance(options, own_components.HoldOptions) and options.lambda_ == 3


def test_a_function_declares_its_options_by_its_signature() -> None:
    model = options_model("datasets", f"{OWN}:dataset")
    assert [field.alias for field in model.model_fields.values()] == ["path", "rows", "copy"]
    validate(model, {"path": "/data", "rows": 3, "copy": True})
    for wrong in ({}, {"path": "/data", "rows": "3"}, {"path": "/data", "row": 3}):
        with pytest.raises(ValidationError):
            validate(model, wrong)


def test_keyword_arguments_take_any_option() -> None:
    validate(options_model("datasets", f"{OWN}:any_dataset"), {"x": [1], "copy": 3})


def test_options_of_a_callable_object() -> None:
    assert options_model("datasets", f"{OWN}:blobs") is own_components._Blobs.Options


def test_the_shape_and_the_outputs_of_a_model_are_no_options() -> None:
    model = options_model("models", f"{OWN}:Net")
    assert [field.alias for field in model.model_fields.values()] == ["width", "act"]
    with pytest.raises(ValidationError):
        validate(model, {"width": 3, "outputs": 3})


def test_types_that_a_file_cannot_hold_are_left_to_the_component() -> None:
    def function(path: Path, other: "NoSuchType" = None, thing: object = None, *rest: int) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    validate(signature_model(function), {"path": "x", "other": 3, "thing": [1]})


def test_a_callable_without_a_signature_takes_anything() -> None:
    validate(signature_model(type), {"x": 1})
