"""What became of capabilities, in words."""

from __future__ import annotations

import io

import numpy as np
from rich.console import Console

from orchestrator.lineage.capability_record import judged
from orchestrator.progress.capability_table import capability_table, lost_text
from tests.orchestrator.lineage.chains import make_commit
from tests.orchestrator.lineage.test_capability_record import answers, bits


def test_a_row_says_what_was_lost_and_what_would_decide() -> None:
    few = [answers(bits([0, 1, 2], 20), name="few"), answers(bits([1, 2, 3], 20), name="few")]
    texts = np.stack([-20.0 - np.arange(9) % 2, np.full(9, 10.0)], 1)
    read = [answers(texts * [factor, 1], "perplexity", "texts") for factor in (1, 1.5)]
    before, now = zip(few, read, strict=True)
    records = judged(before, now, {"few": 0.05, "texts": 0.05})
    commits = [make_commit(0, None, {}, capabilities=records)] * 2
    screen = Console(file=io.StringIO(), width=120)
    screen.print(capability_table(commits))
    lines = screen.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert lines[0].split()[:3] == ["experience", "capability", "items"]
    assert lines[1].split() == ["0", "few", "20", "15.0", "%", "15.0", "%", "1", "1", "undecided", "374", "items"]
    assert lines[2].split()[:6] == ["texts", "9", "ppl", "7.725", "ppl", "21.47"] and lines[2].split()[-1] == "lost"
    assert lost_text(records[1]).startswith("the capability texts was lost: ppl 7.725 before the stream, ppl 21.47 now")
