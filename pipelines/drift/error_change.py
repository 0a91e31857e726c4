"""Have a model's errors changed? ADWIN on the prequential error: each chunk is answered before it is learned.

Source: Bifet & Gavalda 2007, Learning from time-changing data with adaptive windowing (ADWIN); Gama, Sebastiao &
Rodrigues 2013 (the prequential error).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, sqrt


@dataclass(frozen=True)
class ErrorChange:
    """What was found after the last chunk.

    Attributes:
        before: share of errors in the older part of the window; of the whole window where nothing changed.
        now: share of errors in the newer part.
        chunks: chunks in the newer part; 0: nothing changed.
        grown: whether there is a change for the worse.
    """

    before: float
    now: float
    chunks: int

    @property
    def grown(self) -> bool:
        return self.chunks > 0 and self.now > self.before


def error_change(wrong: Sequence[int], samples: Sequence[int], *, delta: float = 0.002) -> ErrorChange:
    """Follow a stream of chunks with an adaptive window, and say what the last chunk has shown.

    The window grows by each chunk. As long as two parts of it, one after the other, have shares of errors that differ
    by more than chance allows, its oldest chunk is dropped. The window is cut between chunks only.

    Args:
        wrong: errors in each chunk, oldest first; at least one chunk.
        samples: of each chunk, 0 or more.
        delta: at most this share of chunks is taken for a change where there is none, by the bound of the paper.
    """
    window: list[tuple[int, int]] = []
    found = ErrorChange(0.0, 0.0, 0)
    for chunk in zip(wrong, samples, strict=True):
        window.append(chunk)
        found = ErrorChange(_share(window), _share(window), 0)
        while (place := _cut(window, delta)) is not None:
            if not found.chunks:
                found = ErrorChange(_share(window[:place]), _share(window[place:]), len(window) - place)
            del window[0]
    return found


def cut_bound(first: int, second: int, share: float, delta: float) -> float:
    """How far the shares of two parts of a window may differ by chance (the paper's epsilon_cut, with its variance).

    Args:
        first, second: samples of the parts, at least 1.
        share: of the whole window.
        delta: of this cut.
    """
    harmonic = 1 / (1 / first + 1 / second)
    spread = log(2 / delta)
    return sqrt(2 / harmonic * share * (1 - share) * spread) + 2 / (3 * harmonic) * spread


def _cut(window: Sequence[tuple[int, int]], delta: float) -> int | None:
    """Where the window differs most beyond its bound; None: nowhere."""
    cuts = len(window) - 1
    total, share = sum(n for _, n in window), _share(window)
    best: tuple[float, int] | None = None
    wrong = seen = 0
    for place in range(1, len(window)):
        wrong, seen = wrong + window[place - 1][0], seen + window[place - 1][1]
        if not 0 < seen < total:
            continue
        other = (sum(errors for errors, _ in window) - wrong) / (total - seen)
        beyond = abs(wrong / seen - other) - cut_bound(seen, total - seen, share, delta / cuts)
        if beyond > 0 and (best is None or beyond > best[0]):
            best = (beyond, place)
    return None if best is None else best[1]


def _share(window: Sequence[tuple[int, int]]) -> float:
    samples = sum(n for _, n in window)
    return sum(errors for errors, _ in window) / samples if samples else 0.0
