"""Scores of sequences of tokens: perplexity, and the share of the tokens that were guessed.

Values are (n, 2): of each sequence its log-likelihood and the tokens that were the likeliest; truth is (n, 1): its
tokens. Every token counts the same, whatever sequence it is in.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from strategies.metrics.evidence import Values


def negative_log_perplexity(values: Values, truth: Values) -> float:
    """The mean log-likelihood of a token; NaN without tokens."""
    tokens = float(truth.sum())
    return float(values[:, 0].sum()) / tokens if tokens else math.nan


def perplexity(values: Values, truth: Values) -> float:
    """exp of the mean negative log-likelihood of a token; infinite beyond the largest float."""
    mean = negative_log_perplexity(values, truth)
    return math.exp(-mean) if not mean < -700 else math.inf


def token_accuracy(values: Values, truth: Values) -> float:
    """The share of the tokens that were the likeliest at their position; NaN without tokens."""
    tokens = float(truth.sum())
    return float(values[:, 1].sum()) / tokens if tokens else math.nan
