import pytest
from pydantic import BaseModel, Field

from pipelines.config.components import BUILT_IN, Kind
from pipelines.config.option_list import Option, component_options, model_options
from pipelines.config.pipeline_errors import PipelineError

OWN = "tests.pipelines.own_components"


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, table in BUILT_IN.items() for name in table])
def test_every_option_of_a_built_in_component_says_what_it_means(kind: Kind, name: str) -> None:
    found = component_options(kind, name)
    assert not found.others
    for option in found.options:
        assert option.meaning is not None and len(option.meaning) > 15 and option.meaning.endswith("."), option
        assert not option.meaning.startswith(("Of ", "After ")), f"no subject: {option}"


def test_an_option_by_its_key_in_the_file_with_its_bounds_and_default() -> None:
    (first, *_) = component_options("strategies", "ewc").options
    assert (first.name, first.type, first.required, first.default) == ("lambda", "number >= 0", False, 1000.0)
    assert first.meaning is not None and "Kirkpatrick" in first.meaning


def test_components_of_ones_own_by_import_path() -> None:
    found = component_options("datasets", f"{OWN}:documented_dataset")
    assert found.options == (
        Option("path", "text", True, None, "Where the rows are."),
        Option("rows", "whole number", False, 10, "How many rows are read, from the first one on."),
    )
    assert component_options("datasets", f"{OWN}:any_dataset") == ((), True)
    assert [option.name for option in component_options("models", f"{OWN}:Net").options] == ["width", "act"]
    assert [option.meaning for option in component_options("strategies", f"{OWN}:Hold").options] == [None] * 3
    with pytest.raises(PipelineError, match="has no 'nothing'"):
        component_options("models", f"{OWN}:nothing")


def test_a_description_is_before_a_docstring_and_a_value_keeps_its_spelling() -> None:
    class Sample(BaseModel):
        """A sample.

        Attributes:
            one: from the docstring
            two: from the docstring
        """

        one: int = Field(default=1, description="from the description")
        two: list[int] = Field(default_factory=lambda: [3])
        three: str = Field(default="all", description="all: every one of them.")

    one, two, three = model_options(Sample, Sample.__doc__).options
    assert (one.meaning, two.meaning) == ("From the description.", "From the docstring.")
    assert two.default == [3] and three.meaning == "all: every one of them."
