"""What a setting influences: the annotation that every field of a pipeline file carries, and that commit ids follow.

    ratio: Annotated[float, Influence(experience=1)] = 0.5      # no effect before experience 1
    every: Annotated[int | None, Influence(added="0.2")] = None  # new in 0.2: not in an id while it is None
    capacity: Annotated[int, LEARNED] = 2000
    workers: Annotated[int, NOT_LEARNED] = 1

The id of a commit names the settings that influence it. A field that a later version adds is left out of ids while it
is at its default, so that a lineage stays valid when Everlearn is updated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.fields import FieldInfo


@dataclass(frozen=True)
class Influence:
    """What a field influences. For use as metadata in `typing.Annotated`.

    Attributes:
        on: `model`: what is learned, so that its value is part of the id. `data`: only which data is learned: the
            fingerprint of the data is part of the id instead. `nothing`: it never changes what is learned. `section`:
            its own fields say it; in the id they are listed beside the fields of the enclosing part.
        experience: the first experience in which it has an effect. Before it, its value is not part of the id, so that
            runs that differ in it alone share their first commits.
        added: the version of Everlearn (or of a plug-in) that added the field, "0.2" for example: at its default it is
            not part of the id. None: the field is as old as the enclosing part.
        at_once: while it is not at its default, all fields of the enclosing part have an effect from experience 0 on.
    """

    on: Literal["model", "data", "nothing", "section"] = "model"
    experience: int = 0
    added: str | None = None
    at_once: bool = False


LEARNED = Influence()
THROUGH_DATA = Influence(on="data")
NOT_LEARNED = Influence(on="nothing")
SECTION = Influence(on="section")


def influence_of(field: FieldInfo) -> Influence:
    """What a field's annotation says; `LEARNED` where it has none.

    The older form `Field(json_schema_extra={"since": 1, "added": True})` is understood too.
    """
    for entry in field.metadata:
        if isinstance(entry, Influence):
            return entry
    extra = field.json_schema_extra
    if not isinstance(extra, Mapping):
        return LEARNED
    return Influence(experience=int(extra.get("since", 0)), added="" if extra.get("added") else None)  # type: ignore[arg-type]


@cache
def influences(kind: type[BaseModel]) -> Mapping[str, Influence]:
    """`influence_of` each field of a model."""
    return {name: influence_of(field) for name, field in kind.model_fields.items()}


def at_default(part: BaseModel, name: str) -> bool:
    """Whether the field called `name` has its default value."""
    field = type(part).model_fields[name]
    # Asking a field for it copies it, which is slow where plans are long.
    made = field.default_factory is not None
    default = field.get_default(call_default_factory=True, validated_data=part.__dict__) if made else field.default
    return bool(getattr(part, name) == default)


def all_at_once(part: BaseModel) -> bool:
    """Whether a field with `at_once` is in use, in this part or in a section of it."""
    for name, influence in influences(type(part)).items():
        if influence.at_once and not at_default(part, name):
            return True
        section: Any = getattr(part, name) if influence.on == "section" else None
        if isinstance(section, BaseModel) and all_at_once(section):
            return True
    return False


def first_effect(part: BaseModel, name: str) -> int:
    """The first experience in which the field called `name` has an effect, given all the others of its part."""
    return 0 if all_at_once(part) else influences(type(part))[name].experience
