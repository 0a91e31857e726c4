"""ADWIN on the errors of chunks: rarely false, soon right, and by the bound of the paper."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipelines.drift.error_change import cut_bound, error_change
from tests.required import missing

CHUNKS = st.lists(
    st.integers(0, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), min_size=1, max_size=8
)


def brute(chunks: list[tuple[int, int]], delta: float) -> tuple[int, list[tuple[int, int]]]:
    """The algorithm of the paper as it is written there, with single samples in place of sums."""
    window: list[tuple[int, int]] = []
    newer = 0
    for chunk in chunks:
        window, newer = [*window, chunk], 0
        while len(window) > 1:
            bits = [np.repeat([1, 0], [wrong, n - wrong]) for wrong, n in window]
            beyond = []
            for place in range(1, len(window)):
                first, second = np.concatenate(bits[:place]), np.concatenate(bits[place:])
                if len(first) and len(second):
                    whole = np.concatenate([first, second])
                    m = 1 / (1 / len(first) + 1 / len(second))
                    spread = np.log(2 * (len(window) - 1) / delta)
                    bound = np.sqrt(2 / m * whole.var() * spread) + 2 / (3 * m) * spread
                    beyond.append((abs(first.mean() - second.mean()) - bound, -place))
            if not beyond or max(beyond)[0] <= 0:
                break
            newer = newer or len(window) + max(beyond)[1]
            window = window[1:]
    return newer, window


@given(CHUNKS, st.sampled_from([0.002, 0.1, 0.9]))
def test_it_is_the_algorithm_of_the_paper(chunks: list[tuple[int, int]], delta: float) -> None:
    found = error_change([wrong for wrong, _ in chunks], [n for _, n in chunks], delta=delta)
    assert found.chunks == brute(chunks, delta)[0]


def first_by_river(wrong: NDArray[np.bool_]) -> int | None:
    """The first chunk after which ADWIN of the package river says that there is a drift; (chunks, samples)."""
    try:
        from river.drift import ADWIN
    except ImportError:
        missing("river is not installed")
    window = ADWIN(delta=0.002, clock=wrong.shape[1], grace_period=1)
    for chunk, answers in enumerate(wrong):
        for answer in answers.tolist():
            window.update(int(answer))
        if window.drift_detected:
            return chunk
    return None


@pytest.mark.parametrize("size", [200, 512])
@pytest.mark.parametrize(("before", "now"), [(0.1, 0.4), (0.3, 0.05), (0.2, 0.2)])
def test_river_finds_it_after_the_same_chunk(before: float, now: float, size: int) -> None:
    """Clear changes, at a chunk that is drawn, and none; river's window has other cuts and another bound, so that what
    can hardly be seen is seen some chunks earlier by the one or the other."""
    for seed in range(15):
        random = np.random.default_rng(seed)
        at = int(random.integers(3, 10))
        wrong = random.random((12, size)) < np.repeat([before, now], [at, 12 - at])[:, None]
        counts = wrong.sum(axis=1).tolist()
        found = (i for i in range(12) if error_change(counts[: i + 1], [size] * (i + 1)).chunks)
        assert next(found, None) == first_by_river(wrong) == (None if before == now else at)


@pytest.mark.parametrize("size", [100, 1000, 10**6])
def test_chunks_without_change_alarm_as_rarely_as_stated(size: int) -> None:
    """200 streams of 12 chunks at delta 0.05; the bound of the paper is a loose one, so that alarms are rarer still."""
    random = np.random.default_rng(size)
    alarms = 0
    for _ in range(200):
        wrong = random.binomial(size, 0.2, 12).tolist()
        alarms += error_change(wrong, [size] * 12, delta=0.05).chunks > 0
    assert alarms <= 10


def test_power_grows_with_the_samples_and_with_the_change() -> None:
    random = np.random.default_rng(0)

    def share(size: int, now: float) -> float:
        found = []
        for _ in range(50):
            wrong = [*random.binomial(size, 0.1, 10), *random.binomial(size, now, 1)]
            found.append(error_change([int(w) for w in wrong], [size] * 11).grown)
        return float(np.mean(found))

    by_size = [share(size, 0.3) for size in (20, 60, 400)]
    by_change = [share(100, now) for now in (0.1, 0.2, 0.5)]
    assert by_size == sorted(by_size) and by_size[0] < 0.5 and by_size[-1] == 1
    assert by_change == sorted(by_change) and by_change[0] <= 0.02 and by_change[-1] == 1


def test_what_has_changed_is_named_and_then_the_new_level_is_the_usual_one() -> None:
    wrong = [10] * 6 + [40] * 4
    told = [error_change(wrong[:end], [100] * end) for end in range(1, 11)]
    # Until the window holds the new level only.
    assert [one.grown for one in told] == [False] * 6 + [True] * 2 + [False] * 2
    assert (told[6].before, told[6].now, told[6].chunks) == (0.1, 0.4, 1)
    better = error_change([40] * 6 + [10], [100] * 7)
    assert better.chunks == 1 and not better.grown


def test_the_bound_by_hand() -> None:
    """100 and 300 samples, a share of 0.25, delta 0.1: m = 75, ln 20 = 2.9957."""
    assert cut_bound(100, 300, 0.25, 0.1) == pytest.approx(np.sqrt(2 / 75 * 0.1875 * 2.995732) + 2 / 225 * 2.995732)
