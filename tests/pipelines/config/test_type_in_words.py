from collections.abc import Sequence
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from pipelines.config.type_in_words import type_in_words


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Sample(BaseModel):
    share: float | None = Field(default=None, gt=0, le=0.5)


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (int, "whole number"),
        (float, "number"),
        (bool, "true or false"),
        (str | None, "text or null"),
        (Literal["a", True, None], "a | true | null"),
        (Colour, "red | blue"),
        (Annotated[int, Field(ge=1)], "whole number >= 1"),
        (
            Annotated[int, Field(ge=1)] | Sequence[int | str] | None,
            "whole number >= 1, list of whole numbers or text, or null",
        ),
        (tuple[Annotated[int, Field(ge=1, lt=9)], ...], "list of whole numbers >= 1 and < 9"),
        (tuple[float, float], "list of 2 numbers"),
        (tuple[int, str], "list of whole number, text"),
        (list[list[int]], "list of lists of whole numbers"),
        (list, "list"),
        (dict[str, int], "mapping"),
        (Any, "any value"),
        (Sample, "Sample"),
    ],
)
def test_types_in_the_words_of_the_error_messages(annotation: Any, words: str) -> None:
    assert type_in_words(annotation) == words


def test_the_bounds_of_a_field_are_those_of_its_number() -> None:
    field = Sample.model_fields["share"]
    assert type_in_words(field.annotation, field.metadata) == "number > 0 and <= 0.5 or null"
