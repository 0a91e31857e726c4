"""Scores of sequences of tokens, by hand."""

from __future__ import annotations

import math

import numpy as np

from strategies.metrics.token_scores import negative_log_perplexity, perplexity, token_accuracy

VALUES = np.array([[-2.0, 1.0], [-4.0, 2.0]])


def test_every_token_counts_the_same() -> None:
    truth = np.array([[1.0], [5.0]])
    assert negative_log_perplexity(VALUES, truth) == -1.0
    assert perplexity(VALUES, truth) == math.e
    assert token_accuracy(VALUES, truth) == 0.5


def test_without_tokens_nothing_is_defined_and_what_is_too_large_is_infinite() -> None:
    none = np.zeros((2, 1))
    assert all(math.isnan(score(VALUES, none)) for score in (negative_log_perplexity, perplexity, token_accuracy))
    assert perplexity(VALUES * 1e6, np.ones((2, 1))) == math.inf
