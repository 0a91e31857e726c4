"""To which size and channels images are brought."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

Colours = Literal["auto", "grey", "rgb"]
"""Channels of an image; `auto`: those of the first image, which all others must have too."""

Resize = Literal["crop", "stretch", "pad"]
"""How an image of other proportions becomes one of the size: cut at its longer side, distorted, or with black bars."""

_Pixels = Annotated[int, Field(ge=1, le=1 << 14)]
Size = _Pixels | Annotated[Sequence[_Pixels], Field(min_length=2, max_length=2)]
"""Pixels of a square, or [height, width]."""


@dataclass(frozen=True)
class ImageOptions:
    """What images become.

    Attributes:
        size: (height, width); None: that of the first image, which all others must have too.
        channels: grey or RGB.
        resize: how an image of other proportions becomes one of the size.
    """

    size: tuple[int, int] | None = None
    channels: Colours = "auto"
    resize: Resize = "crop"

    @classmethod
    def of(cls, size: int | Sequence[int] | None, channels: Colours, resize: Resize) -> ImageOptions:
        """As a pipeline file has them."""
        if size is None:
            return cls(None, channels, resize)
        height, width = (size, size) if isinstance(size, int) else size
        return cls((height, width), channels, resize)


@dataclass(frozen=True)
class ImageInputs:
    """How images become the inputs of a model.

    Attributes:
        options: the size and the channels that the model takes.
        column: of a table, that has the images.
    """

    options: ImageOptions
    column: str

    @classmethod
    def of(cls, shape: tuple[int, ...], resize: Resize, column: str) -> ImageInputs | None:
        """For a model that takes inputs of a shape; None where that is none of an image."""
        if len(shape) != 3 or shape[0] not in (1, 3):
            return None
        return cls(ImageOptions((shape[1], shape[2]), "grey" if shape[0] == 1 else "rgb", resize), column)

    def document(self) -> dict[str, Any]:
        """All of it as plain data (JSON)."""
        return {"column": self.column, **asdict(self.options)}

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> ImageInputs:
        """What `document` gave.

        Raises:
            ValueError, KeyError, TypeError: it is not that.
        """
        height, width = map(int, document["size"])
        return cls(ImageOptions((height, width), document["channels"], document["resize"]), str(document["column"]))
