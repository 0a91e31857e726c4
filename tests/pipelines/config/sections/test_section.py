import pytest
from pydantic import ValidationError

from pipelines.config.sections.section import NamedSpec, OptionsSpec, Spec, refuse


class Part(Spec):
    size: int = 1
    inside: NamedSpec | None = None
    pair: tuple[int, int] = (1, 2)


def test_a_part_cannot_be_changed_and_takes_no_other_keys() -> None:
    with pytest.raises(ValidationError):
        Part().size = 2  # type: ignore[misc]
    with pytest.raises(ValidationError):
        Part.model_validate({"sise": 1})


def test_a_part_as_plain_data() -> None:
    inside = NamedSpec.model_validate({"name": "x", "y": [1], "z": None})
    assert Part().to_document() == {"size": 1, "pair": [1, 2]}
    assert Part(inside=inside).to_document()["inside"] == {"name": "x", "y": [1], "z": None}


def test_options_are_the_keys_beside_the_name() -> None:
    spec = OptionsSpec.model_validate({"name": "x", "y": 1})
    assert spec.options == spec.extras == {"y": 1}
    spec.options["y"] = 2
    assert spec.options == {"y": 1}


def test_several_problems_are_one_error() -> None:
    refuse([])
    with pytest.raises(Exception, match=r"a\.b: is wrong; c: too"):
        refuse([(("a", "b"), "is wrong"), (("c",), "too")])
