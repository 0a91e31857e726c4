"""What a stored state may say of a network's structure."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from strategies.networks.stored_structure import require, stored_count


def state(*names: str) -> dict[str, torch.Tensor]:
    return {name: torch.ones(()) for name in names}


def test_things_are_counted_by_their_numbers() -> None:
    assert stored_count(state("heads.0.a", "heads.1.a", "heads.1.b", "other.7.a", "headsx.3.a"), "heads") == 2
    assert stored_count(state("a"), "heads") == 0


@pytest.mark.parametrize("name", ["heads.2.a", "heads.99999.a"])
def test_numbers_left_out_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="its heads are not numbered one by one"):
        stored_count(state("heads.0.a", name), "heads")


@pytest.mark.parametrize("name", ["heads.100000.a", "heads.01.a", "heads.-1.a", "heads.x.a"])
def test_what_is_no_number_counts_nothing(name: str) -> None:
    """Nothing takes such a tensor, so that loading the state refuses it."""
    assert stored_count(state("heads.0.a", name), "heads") == 1


def test_tensors_must_be_there_in_their_shapes() -> None:
    layer = nn.Linear(2, 3)
    good = {f"x.{name}": tensor for name, tensor in layer.state_dict().items()}
    require(good, "x.", layer)
    with pytest.raises(ValueError, match=r"x\.bias is missing, \[3\] is needed"):
        require({"x.weight": good["x.weight"]}, "x.", layer)
    with pytest.raises(ValueError, match=r"x\.weight has shape \[3\], \[3, 2\] is needed"):
        require({**good, "x.weight": good["x.bias"]}, "x.", layer)
