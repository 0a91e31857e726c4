"""Channels first and last."""

from __future__ import annotations

import pytest

from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets.image_layout import channels_last, layout_warnings, refuse_channels_last


@pytest.mark.parametrize(
    ("shape", "last"),
    [
        ((32, 32, 3), True),
        ((28, 28, 1), True),
        ((64, 48, 4), True),
        ((3, 32, 32), False),
        ((1, 28, 28), False),
        ((3, 3, 3), False),
        ((3, 32, 3), False),
        ((32, 3, 3), False),
        ((16, 8, 8), False),
        ((28, 28), False),
        ((3,), False),
    ],
)
def test_which_shapes_have_their_channels_last(shape: tuple[int, ...], last: bool) -> None:
    assert channels_last(shape) is last
    assert bool(layout_warnings("own", shape)) is last
    if last:
        with pytest.raises(DataError, match=r"model: inputs of .* would be read as .*dataset.channels: last"):
            refuse_channels_last(shape, "model")
    else:
        refuse_channels_last(shape, "model")
