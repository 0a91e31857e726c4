"""The charts of all metrics."""

from __future__ import annotations

import io

import pytest
from matplotlib.figure import Figure
from PIL import Image

from orchestrator.lineage.chain_metrics import chain_metrics
from orchestrator.progress.number_format import metric_text
from orchestrator.tracking.metric_figure import metrics_drawing, metrics_figure
from strategies.metrics import all_metrics
from tests.orchestrator.tracking.chains import make_chain

HISTORY = chain_metrics(make_chain(), reference=[1.0, 1.0, 0.9, 0.9, 0.9])


def words(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_each_metric_has_its_chart_with_its_last_value() -> None:
    shown = words(metrics_drawing(HISTORY, title="x", subtitle="y"))
    assert {"x", "y"} <= set(shown)
    for metric in all_metrics():
        assert f"{metric.title}  {metric_text(metric.name, HISTORY[-1][metric.name])}" in shown
        assert f"{metric.meaning}; {metric.better} is better" in shown
    (axes,) = metrics_drawing(HISTORY, title="x").axes
    assert len(axes.lines) == len(all_metrics())


def test_values_lie_where_they_belong() -> None:
    (axes,) = metrics_drawing([{"forgetting": None}, {"forgetting": 0.0}, {"forgetting": 0.4}], title="x").axes
    (line,) = axes.lines
    (x1, x2), (y1, y2) = line.get_xdata(), line.get_ydata()
    left, right = (next(float(t.get_position()[0]) for t in axes.texts if t.get_text() == step) for step in ("0", "2"))
    assert x1 == pytest.approx((left + right) / 2) and x2 == pytest.approx(right)
    # The axes count downwards.
    assert y2 < y1
    places = {t.get_text(): t.get_position()[1] for t in axes.texts}
    assert places["0.0 %"] == pytest.approx(y1) and places["40.0 %"] == pytest.approx(y2)


def test_what_is_not_known_anywhere_has_no_chart() -> None:
    shown = words(metrics_drawing(chain_metrics(make_chain(1)), title="x"))
    assert not [text for text in shown if text.startswith(("forgetting", "intransigence"))]
    assert [text for text in shown if text.startswith("average accuracy")]
    assert words(metrics_drawing([{}], title="x"))[0] == "x"


def test_a_picture_that_depends_on_the_metrics_alone() -> None:
    png = metrics_figure(HISTORY, title=r"a$\frac{$b_{", subtitle="$$")
    assert png == metrics_figure(HISTORY, title=r"a$\frac{$b_{", subtitle="$$")
    assert png != metrics_figure(HISTORY[:-1], title=r"a$\frac{$b_{", subtitle="$$")
    with Image.open(io.BytesIO(png)) as image:
        assert image.width == 1200 and image.height < 2000


@pytest.mark.parametrize("length", [30, 200])
def test_long_streams(length: int) -> None:
    history = [{"average_accuracy": k / length} for k in range(length)]
    assert metrics_figure(history, title="x").startswith(b"\x89PNG")
