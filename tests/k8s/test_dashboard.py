"""The dashboard shows every metric that is exported, and no other."""

from __future__ import annotations

import json
import re
from typing import Any

from orchestrator.training.prometheus import COMMIT_SECONDS, GAUGES
from orchestrator.updates.stream_metrics import METRICS, PREFIX
from tests.k8s.manifests import K8S

DASHBOARD: dict[str, Any] = json.loads((K8S / "dashboard.json").read_text())


def expressions() -> list[str]:
    return [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]


def test_names_are_the_exported_ones() -> None:
    shown = {name for expr in expressions() for name in re.findall(r"\bray_\w+", expr)}
    histogram = {f"ray_{COMMIT_SECONDS}_{part}" for part in ("bucket", "sum", "count")}
    assert shown == {f"ray_{name}" for name in GAUGES} | histogram
    streams = {name for expr in expressions() for name in re.findall(rf"\b{PREFIX}\w+", expr)}
    assert streams == {f"{PREFIX}{name}" for name in METRICS}


def test_every_query_is_of_the_chosen_pipelines() -> None:
    for expr in expressions():
        assert expr.count("everlearn_") == expr.count('{pipeline=~"$pipeline"}')
    variables = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    assert variables == {"datasource", "pipeline"}


def test_panels_are_distinguished_and_do_not_overlap() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken and place["x"] + place["w"] <= 24
        taken |= cells
