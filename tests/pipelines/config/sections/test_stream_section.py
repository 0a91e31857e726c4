from typing import Any, get_args

import pytest
from pydantic import ValidationError

from pipelines.config.sections.stream_section import DatasetSpec, Setting, StreamSpec, TransformSpec, transform_options

DIGITS = DatasetSpec(name="digits")


def spec(**fields: Any) -> StreamSpec:
    return StreamSpec(dataset=DIGITS, **fields)


def refused(**fields: Any) -> str:
    with pytest.raises(ValidationError) as error:
        spec(**fields)
    return str(error.value)


def transformed(experiences: int | None = 3, **fields: Any) -> dict[str, Any]:
    return {"setting": "domain-incremental", "experiences": experiences, **fields}


def test_length() -> None:
    assert spec(experiences=5).length == 5
    assert spec().length is None
    assert spec(order=[[0, 1], [2]]).length == 2
    rotate = TransformSpec.model_validate({"name": "rotate", "degrees": [0, 10]})
    assert spec(**transformed(None, transform=rotate)).length == 2


@pytest.mark.parametrize("order", ["random", 3, [], [[]], [[0], "x"], [[0.5]], [[None]], None])
def test_an_order_is_a_word_or_classes(order: object) -> None:
    assert "must be natural, shuffled, or the classes" in refused(order=order)


def test_an_order_may_name_classes() -> None:
    assert spec(order=[["cat", "dog"], ["3"]]).order == [["cat", "dog"], ["3"]]
    assert spec(order=[[True], [False]]).order == [["true"], ["false"]]
    assert "names class cat more than once" in refused(order=[["cat"], ["cat"]])


def test_an_explicit_order_fits() -> None:
    assert "lists 2 experiences, but experiences is 3" in refused(order=[[0], [1]], experiences=3)
    assert "names class 0, 2 more than once" in refused(order=[[0, 2, 0], [2]])


@pytest.mark.parametrize("setting", get_args(Setting))
def test_transforms_are_for_any_setting(setting: str) -> None:
    assert spec(setting=setting, experiences=2, transform=TransformSpec(name="permute")).transform is not None


def test_transforms_keep_all_classes_together() -> None:
    permute = TransformSpec(name="permute")
    assert spec(**transformed(transform=permute)).transform == permute
    assert "must be left out" in refused(**transformed(transform=permute, order="shuffled"))
    assert "is required with a transform" in refused(**transformed(None, transform=permute))
    few = TransformSpec.model_validate({"name": "rotate", "degrees": [0, 10]})
    assert "an angle for each of the 3 experiences, has 2" in refused(**transformed(transform=few))


def test_degrees() -> None:
    model = transform_options("rotate")
    for good in (None, 90, 22.5, [0, 10.5]):
        model.model_validate({"degrees": good})
    for wrong in ("x", True, [], ["x"], float("inf")):
        with pytest.raises(ValidationError):
            model.model_validate({"degrees": wrong})


def test_a_stream_is_neither_online_nor_blurry_unless_it_says_so() -> None:
    assert (spec().online, spec().blurry) == (False, 0.0)
    assert spec(online=True, blurry=0.5, experiences=2).blurry == 0.5


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"blurry": 1.0}, "less than 1"),
        ({"blurry": -0.1}, "greater than or equal to 0"),
        ({"online": "yes"}, "valid boolean"),
        ({"blurry": 0.1, "setting": "task-incremental", "experiences": 2}, "cannot be with task labels"),
        ({"blurry": 0.1, "experiences": 2, "transform": TransformSpec(name="permute")}, "cannot be with a transform"),
        ({"blurry": 0.1, "experiences": 1}, "needs other experiences"),
        ({"blurry": 0.1, "order": [[0, 1, 2]]}, "needs other experiences"),
    ],
)
def test_what_cannot_be_blurry(fields: dict[str, Any], message: str) -> None:
    assert message in refused(**fields)
