"""Several sample sets as one."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from strategies.memory.joined_samples import JoinedSamples
from tests.strategies.streams import rows


@given(st.lists(st.integers(0, 5), min_size=1, max_size=4).filter(any), st.data())
def test_positions_count_through_all_parts(sizes: list[int], data: st.DataObject) -> None:
    parts = [rows(range(3), n, seed) for seed, n in enumerate(sizes)]
    joined = JoinedSamples(parts, [10 + i for i in range(len(parts))])
    inputs, targets, ids = (torch.cat([getattr(p, name) for p in parts]) for name in ("inputs", "targets", "ids"))
    assert len(joined) == sum(sizes)
    assert torch.equal(joined.ids, ids)
    assert torch.equal(joined.targets, targets)
    assert joined.experiences.tolist() == [10 + i for i, n in enumerate(sizes) for _ in range(n)]
    index = torch.tensor(data.draw(st.lists(st.integers(0, len(joined) - 1), max_size=9)), dtype=torch.int64)
    for taken in (joined.take(index), *joined.batches([index])):
        assert torch.equal(taken[0], inputs[index])
        assert torch.equal(taken[1], targets[index])
        assert taken[0].dtype == torch.uint8


def test_a_part_may_say_where_each_sample_comes_from() -> None:
    joined = JoinedSamples([rows(range(2), 3, 0), rows(range(2), 2, 1)], [torch.tensor([4, 5, 4]), 7])
    assert joined.experiences.tolist() == [4, 5, 4, 7, 7]
