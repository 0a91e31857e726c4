"""The reference page of the metrics."""

from __future__ import annotations

import re

from generators.docstrings import docstring
from generators.option_table import table
from strategies.metrics import definitions

_HEAD = """# Metrics

R[i, j] is the accuracy on experience j's test set after training on experience i, b[j] that of the untrained model, and k
the last experience. What they mean: [metrics of continual learning](../concepts/metrics.md).

"""


def page() -> str:
    """The page in Markdown."""
    rows = []
    for name in definitions.ALL:
        text = docstring(getattr(definitions, name, None)).text.replace("\n", " ")
        rows.append((f"`{name}`", re.sub(r"\*", r"\\*", text)))
    return _HEAD + table(("name", "definition"), rows)
