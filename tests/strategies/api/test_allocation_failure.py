from collections.abc import Callable

import numpy as np
import pytest
import torch

from strategies.api.allocation_failure import is_allocation_failure


@pytest.mark.parametrize(
    "allocate",
    [
        lambda: torch.empty(10**15),
        lambda: torch.empty(10**17, 64),
        lambda: torch.empty(10**30),
        lambda: np.empty(10**15),
        lambda: np.empty((10**10, 10**10)),
        lambda: bytearray(10**15),
        lambda: [0] * 10**15,
        lambda: bytearray(10**30),
    ],
)
def test_what_is_too_large(allocate: Callable[[], object]) -> None:
    with pytest.raises(Exception) as raised:
        allocate()
    assert is_allocation_failure(raised.value), raised.value


@pytest.mark.parametrize("error", [RuntimeError("shape mismatch"), ValueError("nan"), KeyError("out of memory")])
def test_other_errors(error: Exception) -> None:
    assert not is_allocation_failure(error)
