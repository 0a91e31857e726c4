"""The preprocessing of a table: fitted on experience 0 alone, kept as plain data, the same wherever a model is used."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.config.pipeline_errors import DataError
from pipelines.data.features.column_layout import ColumnLayout, ImageColumns, TextColumns
from pipelines.data.features.encoders import ENCODERS, Encoder
from pipelines.data.features.feature_columns import AS_TEXT, FeatureColumn, FeatureOptions, Kind
from pipelines.data.features.image_encoder import Image
from pipelines.data.features.raw_columns import Place, raw_values
from pipelines.data.features.text_encoder import Text
from pipelines.data.images.image_options import ImageOptions


@dataclass(frozen=True)
class Preprocessing:
    """What turns the columns of a table into one tensor.

    Attributes:
        encoders: a fitted column each, in the order of the tensor's columns.
    """

    encoders: tuple[Encoder, ...]

    @classmethod
    def fit(
        cls, columns: Sequence[FeatureColumn], table: Any, rows: NDArray[np.int64], options: FeatureOptions, where: str
    ) -> Preprocessing:
        """Fitted on some rows of an arrow table.

        Args:
            rows: (m,) the training samples of experience 0.
            options: limits of the numbers of values and words, and the size and channels of images.
            where: the file, for messages.

        Raises:
            DataError: a value is not of the kind of its column.
        """
        found: list[Encoder] = []
        for column in columns:
            values = raw_values(table[column.name], column.kind, Place(where, column.name))
            if column.kind == Text.kind:
                found.append(Text.fit(column.name, values[rows], options.words, options.length))
            elif column.kind == Image.kind:
                pixels = ImageOptions.of(options.size, options.channels, "crop")
                found.append(Image.fit(column.name, values[rows], options.vocabulary, pixels))
            else:
                found.append(ENCODERS[column.kind].fit(column.name, values[rows], options.vocabulary))
        return cls(tuple(found))

    def transform(self, table: Any, where: str, first_row: int = 0, *, keep: bool = False) -> NDArray[np.float32]:
        """The rows of an arrow table, (n, d).

        Args:
            where: the file, for messages.
            first_row: number of the table's first row in the file.
            keep: images that were decoded are kept on this machine, and taken from there.

        Raises:
            DataError: the table lacks a column, or a value is not of the kind of its column, such as an image that is
                broken or not there; the message names column, file and row.
        """
        missing = [encoder.name for encoder in self.encoders if encoder.name not in table.column_names]
        if missing:
            raise DataError(
                f"{where}: has no column {', '.join(map(repr, missing[:5]))}, which experience 0 has: "
                f"its columns are {', '.join(table.column_names[:20])}"
            )
        parts = []
        for encoder in self.encoders:
            place = Place(where, encoder.name, first_row)
            values = raw_values(table[encoder.name], encoder.kind, place)
            encoded = encoder.encode(values, keep=keep) if isinstance(encoder, Image) else encoder.encode(values)
            with np.errstate(over="ignore"):
                part = encoded.astype(np.float32, copy=False)
            endless = np.flatnonzero(~np.isfinite(part).all(axis=1))
            if len(endless):
                raise place.refused("has a value too far from those of experience 0", int(endless[0]))
            parts.append(part)
        return np.concatenate(parts, axis=1)

    @property
    def kinds(self) -> dict[str, Kind]:
        """The kind of each column that it reads."""
        return {encoder.name: encoder.kind for encoder in self.encoders}

    @property
    def texts(self) -> frozenset[str]:
        """Columns that must be read as the text that a file has: as numbers, 007 and 7 would be the same."""
        return frozenset(encoder.name for encoder in self.encoders if encoder.kind in AS_TEXT)

    @property
    def images(self) -> tuple[str, ...]:
        """Columns whose values may name files that are opened."""
        return tuple(encoder.name for encoder in self.encoders if isinstance(encoder, Image))

    @property
    def layout(self) -> ColumnLayout:
        """What the columns of the tensor are."""
        names: list[str] = []
        categories, texts, images = [], [], []
        for encoder in self.encoders:
            if isinstance(encoder, Text):
                texts.append(TextColumns(len(names), encoder.length, encoder.codes))
            if isinstance(encoder, Image):
                images.append(ImageColumns(len(names), *encoder.shape))
            if encoder.size is not None:
                categories.append((len(names), encoder.size))
            names += encoder.columns
        return ColumnLayout(tuple(names), tuple(categories), tuple(texts), tuple(images))

    def document(self) -> list[dict[str, Any]]:
        """All of it as plain data (JSON)."""
        return [encoder.document() for encoder in self.encoders]

    @classmethod
    def read(cls, document: Sequence[Mapping[str, Any]]) -> Preprocessing:
        """What `document` gave.

        Raises:
            ValueError, KeyError, TypeError: it is not that.
        """
        return cls(tuple(ENCODERS[entry["kind"]].read(dict(entry)) for entry in document))

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of all that it knows."""
        text = json.dumps(self.document(), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
