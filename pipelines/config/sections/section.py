"""Base classes of all parts of the schema."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from pipelines.config.components import Kind
from pipelines.config.document import KeyPath
from strategies.api.influence import LEARNED

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]


class Spec(BaseModel):
    """A part of a pipeline: unchangeable, no unknown keys, no silent conversions, no infinities."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    def to_document(self) -> Any:
        """Plain data as in a pipeline file, without what is None."""
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: _plain(value) for name, value in fields.items() if value is not None}


class NamedSpec(Spec):
    """A named component; the other keys are its options, checked against those that it takes.

    Class attributes:
        component: the kind of component that it names, where users may write their own, whose source then influences
            commit ids.
    """

    model_config = ConfigDict(extra="allow")

    component: ClassVar[Kind | None] = None

    name: Annotated[str, LEARNED] = Field(min_length=1, max_length=200)

    def to_document(self) -> Any:
        """Plain data as in a pipeline file: the name and all options."""
        return {**super().to_document(), **self.extras}

    @property
    def extras(self) -> dict[str, Any]:
        """The keys that this class does not declare."""
        return dict(self.__pydantic_extra__ or {})

    @property
    def declared_options(self) -> BaseModel | None:
        """Its options with defaults filled in, where a class declares them; None: use the options as written."""
        return None


class OptionsSpec(NamedSpec):
    """A named component whose options are plain data."""

    @property
    def options(self) -> dict[str, Any]:
        """Its options as written."""
        return self.extras


def _plain(value: Any) -> Any:
    if isinstance(value, Spec):
        return value.to_document()
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def refuse(problems: Iterable[tuple[KeyPath, str]]) -> None:
    """Raise, inside a validator, all `problems`: key paths relative to the validated part, and messages."""
    listed = list(problems)
    if listed:
        text = "; ".join(f"{'.'.join(map(str, path))}: {message}" for path, message in listed)
        raise PydanticCustomError("refused", "{text}", {"text": text, "problems": listed})
