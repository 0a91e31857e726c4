from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from pipelines.config.document import Problem
from pipelines.config.messages import explain, known_keys, located, unknown_key


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    rate: float = Field(default=1.0, gt=0, lt=1.5, allow_inf_nan=False)
    lambda_: float = Field(default=1.0, ge=0.5, le=2, alias="lambda")


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    inner: Inner | None = None
    many: list[Inner] = Field(default_factory=list, max_length=2)
    either: int | list[int] = 0
    bounded: Annotated[int, Field(ge=0)] | Annotated[list[int], Field(min_length=1)] = 0
    word: Literal["one", "two"] = "one"
    text: Annotated[str, Field(min_length=2, max_length=3)] = "ab"
    flag: bool = False
    by_number: dict[int, int] = Field(default_factory=dict)
    own: int = 0

    @field_validator("own")
    @classmethod
    def _own(cls, value: int) -> int:
        if value:
            raise ValueError("must be what I like")
        return value


def problems(data: Any) -> list[Problem]:
    import json

    with pytest.raises(ValidationError) as error:
        Outer.model_validate_json(json.dumps(data))
    return explain(error.value, Outer, data)


@pytest.mark.parametrize(
    ("data", "path", "text"),
    [
        ({"inner": {"rate": 0}}, ("inner", "rate"), "must be above 0, got 0"),
        ({"inner": {"rate": 1.5}}, ("inner", "rate"), "must be below 1.5, got 1.5"),
        ({"inner": {"lambda": 0}}, ("inner", "lambda"), "must be at least 0.5, got 0"),
        ({"inner": {"lambda": 3}}, ("inner", "lambda"), "must be at most 2, got 3"),
        ({"inner": {"rate": "x"}}, ("inner", "rate"), "must be a number, got 'x'"),
        ({"inner": {"rate": float("nan")}}, ("inner", "rate"), "must be a finite number, got nan"),
        ({"inner": {"rte": 1}}, ("inner", "rte"), "unknown key, did you mean 'rate'?"),
        ({"inner": {"x": 1}}, ("inner", "x"), "unknown key; known here: rate, lambda"),
        ({"many": [{}, {"lamda": 1}]}, ("many", 1, "lamda"), "unknown key, did you mean 'lambda'?"),
        ({"many": [{}, {}, {}]}, ("many",), "must have at most 2 entries, has 3"),
        ({"many": {}}, ("many",), "must be a list, got {}"),
        ({"inner": []}, ("inner",), "must be a mapping such as {key: value}, got []"),
        ({"word": "tow"}, ("word",), "must be one of one, two (did you mean two?), got 'tow'"),
        ({"word": 3}, ("word",), "must be one of one, two, got 3"),
        ({"text": "a"}, ("text",), "must have at least 2 characters, got 'a'"),
        ({"text": "abcd"}, ("text",), "must have at most 3 characters, got 'abcd'"),
        ({"text": 3}, ("text",), "must be text (put it in quotes), got 3"),
        ({"text": None}, ("text",), "must be text, got null"),
        ({"flag": 1}, ("flag",), "must be true or false, got 1"),
        ({"by_number": {"3": "x"}}, ("by_number", "3"), "must be a whole number, got 'x'"),
        ({"by_number": {"x": 3}}, ("by_number", "x"), "must be a whole number, got 'x'"),
        ({"own": 3}, ("own",), "must be what I like, got 3"),
    ],
)
def test_problems_in_the_words_of_a_file(data: Any, path: tuple[str | int, ...], text: str) -> None:
    (problem,) = problems(data)
    assert (problem.path, problem.text) == (path, text)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("x", ["must be a whole number, or a list, got 'x'"]),
        (["x"], ["must be a whole number, got 'x'"]),
        ([], ["must not be empty"]),
        (-1, ["must be at least 0, got -1"]),
    ],
)
def test_a_value_that_fits_no_member_of_a_union_is_reported_once(value: Any, said: list[str]) -> None:
    assert [problem.text for problem in problems({"bounded": value})] == said


def test_members_of_a_union_are_no_part_of_the_path() -> None:
    assert {problem.path for problem in problems({"either": ["x"]})} == {("either", 0)}


def test_paths_keep_to_what_is_there() -> None:
    data = {"a": [{"b": {"3": 1}}]}
    assert located(("a", 0, "b", 3), data) == ("a", 0, "b", "3")
    assert located(("a", "list[x]", 0, "tag", "b", "[key]"), data) == ("a", 0, "b")
    assert located(("a", 5, "z"), data) == ("a",)


def test_unknown_keys() -> None:
    assert unknown_key("x", []) == "unknown key; there are none here"
    assert known_keys(Inner) == ["rate", "lambda"]
