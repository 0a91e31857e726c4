"""The text that Prometheus reads, by a parser of it."""

from __future__ import annotations

import re

from orchestrator.serving.serving_metrics import BUCKETS, ServingMetrics

LINE = re.compile(r'(everlearn_serve_\w+)\{((?:\w+="(?:[^"\\\n]|\\["\\n])*",?)*)\} (\S+)')


def read(text: str) -> dict[tuple[str, str], float]:
    """Values by name and labels; every name has its HELP and TYPE before it."""
    found: dict[tuple[str, str], float] = {}
    described: set[str] = set()
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("#"):
            _, what, name, _ = line.split(" ", 3)
            described |= {name} if what == "TYPE" else set()
            continue
        match = LINE.fullmatch(line)
        assert match is not None, line
        assert re.sub("_(bucket|sum|count)$", "", match[1]) in described
        found[match[1], match[2]] = float(match[3])
    return found


def test_what_was_counted_is_shown() -> None:
    metrics = ServingMetrics({"pipeline": 'a"b\\c\nd'})
    own = 'pipeline="a\\"b\\\\c\\nd"'
    assert read(metrics.text())["everlearn_serve_ready", own] == 0
    for status, seconds, rows in ((200, 0.001, 3), (200, 0.3, 2), (400, 99.0, 0)):
        metrics.request(status, seconds, rows)
    metrics.event("refused", "bad")
    metrics.event("swapped", "good")
    found = read(metrics.text())
    assert found["everlearn_serve_requests_total", f'{own},code="200"'] == 2
    assert found["everlearn_serve_requests_total", f'{own},code="400"'] == 1
    assert found["everlearn_serve_rows_total", own] == 5
    buckets = [found["everlearn_serve_request_seconds_bucket", f'{own},le="{b}"'] for b in (*BUCKETS, "+Inf")]
    assert buckets == sorted(buckets) and buckets[0] == 1 and buckets[-2:] == [2, 3]
    assert found["everlearn_serve_request_seconds_sum", own] == 0.001 + 0.3 + 99.0
    assert found["everlearn_serve_refused_total", own] == found["everlearn_serve_swapped_total", own] == 1
    assert found["everlearn_serve_commit_info", f'{own},commit="good"'] == found["everlearn_serve_ready", own] == 1
