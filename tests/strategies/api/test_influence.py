"""What the annotation of a field says, and how it is read."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from strategies.api.influence import (
    LEARNED,
    NOT_LEARNED,
    SECTION,
    Influence,
    all_at_once,
    at_default,
    first_effect,
    influence_of,
)


class Options(BaseModel):
    silent: float = 1.0
    learned: Annotated[float, Field(ge=0), LEARNED] = 1.0
    later: Annotated[float, Influence(experience=3)] = Field(default=1.0, ge=0, alias="after")
    older: float = Field(default=2.0, json_schema_extra={"since": 2, "added": True})
    switch: Annotated[list[int], Influence(added="0.3", at_once=True)] = Field(default_factory=list)
    derived: Annotated[float, NOT_LEARNED] = Field(default_factory=lambda data: 2 * data["learned"])


class Whole(BaseModel):
    options: Annotated[Options, SECTION] = Options()
    other: Annotated[Options, LEARNED] = Options()
    late: Annotated[int, Influence(experience=1)] = 0


def test_the_annotation_is_read_whatever_else_the_field_says() -> None:
    found = {name: influence_of(field) for name, field in Options.model_fields.items()}
    assert found["silent"] == found["learned"] == LEARNED
    assert found["later"] == Influence(experience=3)
    assert found["switch"] == Influence(added="0.3", at_once=True)
    assert found["derived"] == NOT_LEARNED


def test_the_older_form_means_the_same() -> None:
    older = influence_of(Options.model_fields["older"])
    assert older.experience == 2 and older.added is not None and older.on == "model"


def test_defaults_that_are_made_count_as_defaults() -> None:
    assert at_default(Options(), "switch") and at_default(Options(learned=3.0), "derived")
    assert not at_default(Options(switch=[1]), "switch") and not at_default(Options(derived=3.0), "derived")


def test_a_switch_reaches_the_part_that_it_is_in_and_the_one_around_a_section() -> None:
    assert [first_effect(Options(), name) for name in ("later", "older")] == [3, 2]
    assert [first_effect(Options(switch=[1]), name) for name in ("later", "older")] == [0, 0]
    assert all_at_once(Whole(options=Options(switch=[1])))
    assert first_effect(Whole(options=Options(switch=[1])), "late") == 0
    assert not all_at_once(Whole(other=Options(switch=[1])))
