"""Random numbers have an address, and nothing else decides them."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from strategies.loop.seeded_random import generator, integer, normal

seeds = st.integers(0, 2**63)
addresses = st.tuples(st.sampled_from(["order", "replay", "fisher"]), st.lists(st.integers(0, 2**40), max_size=3))


@given(seeds, st.lists(addresses, min_size=1, max_size=5))
def test_the_order_of_calls_does_not_matter(seed: int, places: list[tuple[str, list[int]]]) -> None:
    def draws(ordered: list[tuple[str, list[int]]]) -> dict[str, list[float]]:
        return {repr(place): generator(seed, place[0], *place[1]).random(3).tolist() for place in ordered}

    assert draws(places) == draws(places[::-1])


def test_every_part_of_the_address_counts() -> None:
    places = [
        (seed, purpose, *rest)
        for seed in (0, 1, 2**40)
        for purpose in ("order", "replay")
        for rest in ((), (0,), (1,), (0, 0), (0, 1), (1, 0), (256,))
    ]
    assert len({integer(*place) for place in places}) == len(places)
    assert len({generator(*place).integers(2**63) for place in places}) == len(places)


def test_integers_seed_torch() -> None:
    drawn = [integer(0, "forward", i) for i in range(1000)]
    assert all(0 <= value < 2**63 for value in drawn)
    assert max(drawn) > 0.99 * 2**63


def test_neighbours_are_independent() -> None:
    table = np.stack([generator(0, "order", i).random(200) for i in range(50)])
    correlations = np.corrcoef(table)[np.triu_indices(50, 1)]
    assert abs(correlations.mean()) < 0.01
    assert np.abs(correlations).max() < 0.35


def test_normal_numbers_have_an_address_too() -> None:
    numbers = normal(300, 40, 0, "latent", 1, 2)
    assert torch.equal(numbers, normal(300, 40, 0, "latent", 1, 2))
    assert not torch.equal(numbers, normal(300, 40, 0, "latent", 1, 3))
    assert abs(float(numbers.mean())) < 0.03
    assert abs(float(numbers.std()) - 1) < 0.03
