"""The reference page of the scores, from their records."""

from __future__ import annotations

from strategies.metrics.markdown_table import scores_table

_HEAD = """# Scores

What `score` and `metrics` of a pipeline file may name, for each objective: see [scores](../how-to/scores.md). A CLASS
is named as in the data (`recall@class=fraud`), or by the number of its output, counted from 0.

"""


def page() -> str:
    """The page in Markdown."""
    return f"{_HEAD}{scores_table()}\n"
