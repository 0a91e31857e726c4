"""Which columns of a table are features, and of which kind: what the file says, else what their types say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets.missing_name import missing_name

Kind = Literal["numeric", "categorical", "timestamp", "text", "image"]
KINDS: tuple[Kind, ...] = get_args(Kind)
AS_TEXT: tuple[Kind, ...] = ("categorical", "text", "image")
"""Kinds whose columns are read as the text that a file has, where its format leaves a choice."""

Side = Annotated[int, Field(ge=1, le=256)]
"""Pixels of an image's height or width: each pixel is a column of the inputs."""


class FeatureOptions(BaseModel):
    """The columns of each kind; a column that is not named has the kind of its type.

    Attributes:
        numeric: columns of numbers, or of true and false.
        categorical: columns whose values are names, such as text or codes.
        timestamp: columns of dates or times, or of text in ISO 8601.
        text: columns of texts, of which a model gets the words.
        image: columns of PNG or JPEG images: paths that begin at the table's folder, or the bytes of the files.
        ignore: columns that are no features.
        vocabulary: at most this many values of a categorical column have codes of their own, the most frequent ones.
        words: at most this many words of a column of texts have codes of their own, the most frequent ones.
        length: words of a text; further ones are cut.
        size: pixels of the square that images are brought to, cut at their longer side, or [height, width].
        channels: to which images are brought: rgb or grey.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    in_words: ClassVar[str] = "columns by kind"

    numeric: list[str] = Field(default_factory=list)
    categorical: list[str] = Field(default_factory=list)
    timestamp: list[str] = Field(default_factory=list)
    text: list[str] = Field(default_factory=list)
    image: list[str] = Field(default_factory=list)
    ignore: list[str] = Field(default_factory=list)
    vocabulary: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    words: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    length: Annotated[int, Field(ge=1, le=4096)] = 64
    size: Side | Annotated[list[Side], Field(min_length=2, max_length=2)] = 32
    channels: Literal["rgb", "grey"] = "rgb"

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        named = Counter([*self.numeric, *self.categorical, *self.timestamp, *self.text, *self.image, *self.ignore])
        twice = next((name for name, count in named.items() if count > 1), None)
        if twice is not None:
            raise PydanticCustomError("twice", "names the column {name} twice", {"name": repr(twice)})
        return self

    def said(self) -> dict[str, Kind]:
        """The kind of each column that is named, without those to ignore."""
        return {name: kind for kind in KINDS for name in getattr(self, kind)}


def _form(value: object) -> str:
    return "word" if isinstance(value, str) else "lists"


# One of the two forms: an error is then reported for the one that was written.
Features = Annotated[
    Annotated[Literal["auto"], Tag("word")] | Annotated[FeatureOptions, Tag("lists")], Discriminator(_form)
]
"""The option `features` of a dataset: `auto`, or the columns of each kind."""


@dataclass(frozen=True)
class FeatureColumn:
    """A column that is a feature.

    Attributes:
        name: of the column.
        kind: how it is read.
        said: whether the pipeline file names its kind; else its type decided.
    """

    name: str
    kind: Kind
    said: bool = False


def feature_columns(
    options: FeatureOptions, types: Mapping[str, Any], others: Collection[str], where: str
) -> tuple[FeatureColumn, ...]:
    """The features among the columns of a table, in its order.

    Args:
        types: arrow type of each column.
        others: columns that are no features: label, id and such.
        where: the file, for messages.

    Raises:
        DataError: a column that is named is not there or is no feature, there are no features, or a type has no kind.
    """
    said = options.said()
    for name in (*said, *options.ignore):
        if name not in types:
            raise DataError(missing_name(where, "column", name, list(types), "features"))
        if name in others and name in said:
            raise DataError(f"stream.dataset.features: column '{name}' is the label or the id: it can be no feature")
    found = []
    for name, type_ in types.items():
        if not name or name in others or name in options.ignore:
            continue
        kind = said.get(name) or _kind_of(type_)
        if kind is None:
            raise DataError(
                f"{where}: column '{name}' is of the type {type_}, which says no kind: name it in "
                f"dataset.features under {', '.join(KINDS)} or ignore"
            )
        found.append(FeatureColumn(name, kind, said=name in said))
    if not found:
        raise DataError(f"{where}: has no columns for the features besides {', '.join(others)}")
    return tuple(found)


def _kind_of(type_: Any) -> Kind | None:
    """The kind that a column of this arrow type has, if it is not named; None: it has none."""
    from pyarrow import types

    if types.is_dictionary(type_):
        type_ = type_.value_type
    if types.is_boolean(type_) or types.is_integer(type_) or types.is_floating(type_) or types.is_decimal(type_):
        return "numeric"
    if types.is_string(type_) or types.is_large_string(type_):
        return "categorical"
    if types.is_timestamp(type_) or types.is_date(type_):
        return "timestamp"
    return None
