"""Times, sizes, accuracies and classes as text for a person."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from orchestrator.progress.printable import printable
from strategies.metrics import Unit, find_metric, metrics_in

_BYTE_UNITS = ("B", "kB", "MB", "GB", "TB")


def percent(value: float | None, digits: int = 1) -> str:
    """An accuracy in [0, 1] as percent without the sign: 0.9876 -> "98.8"; None -> "-"."""
    return "-" if value is None else f"{100 * value:.{digits}f}"


def signed_percent(value: float | None) -> str:
    """A difference of accuracies as signed percent: -0.031 -> "-3.1", 0.02 -> "+2.0"; None -> "-"."""
    if value is None:
        return "-"
    text = f"{100 * value:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text


def metric_text(name: str, value: float | None, among: Iterable[str] = ()) -> str:
    """A metric with its unit: "98.8 %", "-3.1 %", "0.2513", "1.2 MB", "3.2 s", "478,410"; None -> "-".

    Args:
        among: the names of all metrics of its stream, which say what its score is; none: accuracy.
    """
    if value is None:
        return "-"
    metric = next((one for one in metrics_in(among) if one.name == name), None) or find_metric(name)
    # Another version of Everlearn may have recorded a metric that this one does not have.
    return f"{value:.4g}" if metric is None else unit_text(metric.unit, value)


def unit_text(unit: Unit, value: float | None) -> str:
    """A value in its unit; None -> "-"."""
    return "-" if value is None else _WRITERS[unit](value)


def duration(seconds: float) -> str:
    """3.21 -> "3.2 s", 75 -> "1 min 15 s", 7500 -> "2 h 05 min"."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"


def count(number: int, noun: str) -> str:
    """1, "worker" -> "1 worker"; 3, "worker" -> "3 workers"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def size(number: int) -> str:
    """Bytes in decimal units: 1_234_567 -> "1.2 MB"."""
    value, unit = float(number), 0
    while value >= 999.95 and unit < len(_BYTE_UNITS) - 1:
        value /= 1000
        unit += 1
    return f"{number} B" if unit == 0 else f"{value:.1f} {_BYTE_UNITS[unit]}"


def classes(labels: Sequence[int], room: int = 20, names: Sequence[str] | None = None) -> str:
    """Class labels, runs of three or more as ranges: [0, 1, 2, 3, 7] -> "0-3 7"; cut with an ellipsis at `room`.

    Args:
        names: the name of each class, if classes have names: [0, 2] -> "cat emu".
    """
    if names is not None and all(0 <= label < len(names) for label in labels):
        return _cut(" ".join(" ".join(printable(names[label]).split()) for label in labels), room)
    runs: list[tuple[int, int]] = []
    for label in labels:
        if runs and label == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], label)
        else:
            runs.append((label, label))
    parts = []
    for first, last in runs:
        parts += [f"{first}-{last}"] if last - first >= 2 else [str(label) for label in range(first, last + 1)]
    return _cut(" ".join(parts), room)


def _cut(text: str, room: int) -> str:
    if len(text) <= room:
        return text
    return text[: room - 1].rsplit(" ", 1)[0] + "\N{HORIZONTAL ELLIPSIS}"


def short(commit: str) -> str:
    """The first 12 characters of a commit id, which identify it in practice."""
    return commit[:12]


_WRITERS: Mapping[Unit, Callable[[float], str]] = {
    "fraction": lambda value: f"{percent(value)} %",
    "signed fraction": lambda value: f"{signed_percent(value)} %",
    "number": lambda value: f"{value:.4g}",
    "signed number": lambda value: f"{value:+.4g}" if value else "0",
    "count": lambda value: f"{value:,.0f}",
    "bytes": lambda value: size(round(value)),
    "seconds": duration,
}
