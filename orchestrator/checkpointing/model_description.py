"""What a commit says of its model beside the weights: the names of its outputs and the preprocessing of its inputs.

It is a blob of JSON, so that a model can be used without the data that it was trained on. Commits have none where
classes have no names and inputs need no preprocessing, as have older ones.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.checkpointing.restore import fitting
from orchestrator.lineage.canonical_json import parse_json

if TYPE_CHECKING:
    from torch import Tensor

    from orchestrator.lineage.commit import Commit
    from orchestrator.lineage.lineage import Lineage
    from pipelines.data.features.column_layout import ColumnLayout
    from pipelines.data.features.preprocessing import Preprocessing
    from pipelines.data.images.image_options import ImageInputs
    from pipelines.data.streams import Stream

DESCRIPTION = "description"
"""Name of the blob in a commit."""

_JSON = "json"
_FORMAT = 1


@dataclass(frozen=True)
class ModelDescription:
    """How to use a model.

    Attributes:
        unit_names: the class of each output unit; None: units have no names.
        preprocessing: from the columns of a table to inputs; None: inputs are tensors.
        images: from image files to inputs; None: inputs were none.
    """

    unit_names: tuple[str, ...] | None = None
    preprocessing: Preprocessing | None = None
    images: ImageInputs | None = None

    @property
    def layout(self) -> ColumnLayout | None:
        """What the columns of the inputs are; None: inputs are no table with features."""
        return None if self.preprocessing is None else self.preprocessing.layout


def describing(stream: Stream) -> dict[str, Tensor]:
    """The blob's tensors for models of a stream; none where there is nothing to say."""
    import torch

    if stream.unit_names is None and stream.preprocessing is None and stream.images is None:
        return {}
    document: dict[str, Any] = {
        "format": _FORMAT,
        "unit_names": None if stream.unit_names is None else list(stream.unit_names),
        "preprocessing": None if stream.preprocessing is None else stream.preprocessing.document(),
    }
    if stream.images is not None:
        document["images"] = stream.images.document()
    return {_JSON: torch.tensor(list(json.dumps(document, sort_keys=True).encode()), dtype=torch.uint8)}


def read_description(lineage: Lineage, commit: Commit) -> ModelDescription:
    """What a commit says of its model.

    Raises:
        CorruptBlob: its blob is damaged, or holds something else.
    """
    record = commit.blobs.get(DESCRIPTION)
    if record is None:
        return ModelDescription()
    tensors = lineage.tensors(record.sha256, commit=commit.id)
    with fitting(f"commit {commit.id[:12]}"):
        document: Any = parse_json(bytes(tensors[_JSON].tolist()))
        if document["format"] != _FORMAT:
            raise ValueError(f"a description of format {str(document['format'])[:20]}: upgrade Everlearn")
        names, made = document["unit_names"], document["preprocessing"]
        names = None if names is None else tuple(map(str, names))
        return ModelDescription(names, _preprocessing(made), _images(document.get("images")))


def _images(document: Any) -> ImageInputs | None:
    from pipelines.data.images.image_options import ImageInputs

    return None if document is None else ImageInputs.read(document)


def _preprocessing(document: Any) -> Preprocessing | None:
    from pipelines.data.features.preprocessing import Preprocessing

    return None if document is None else Preprocessing.read(document)
