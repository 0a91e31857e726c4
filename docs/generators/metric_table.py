"""The reference page of the metrics, from their records."""

from __future__ import annotations

from strategies.metrics.markdown_table import metrics_table

_HEAD = """# Metrics

R[i, j] is the score on experience j's test set after training on experience i, b[j] that of the untrained model, and
k the last experience. What they mean: [metrics of continual learning](../concepts/metrics.md).
The table is that of the accuracy; with another [score](scores.md) its name stands in the place of accuracy
(`average_auroc`), and values are in its unit. Transfer is positive where the model got better, and forgetting where it
got worse, whichever direction of the score is better.

"""


def page() -> str:
    """The page in Markdown."""
    return f"{_HEAD}{metrics_table()}\n"
