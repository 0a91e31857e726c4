"""What to say about a column or an array that a file does not have."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.config.suggest import did_you_mean

LABEL_NAMES = ("label", "labels", "class", "target", "targets", "y", "category")
"""What columns and arrays of labels are usually called."""

_LISTED = 20


def missing_name(where: str, what: str, name: str, names: Sequence[str], key: str, section: str = "dataset") -> str:
    """A message that names the option to set, and the nearest name that there is.

    Args:
        where: the file.
        what: `column` or `array`.
        name: the name that is missing.
        names: what the file has.
        key: the option that names it.
        section: of the pipeline file, with this option.
    """
    close = did_you_mean(name, names)
    if close is None and key == "label":
        by_lower = {there.lower(): there for there in reversed(names)}
        close = next((by_lower[usual] for usual in LABEL_NAMES if usual in by_lower), None)
    listed = ", ".join(names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")
    hint = f"did you mean '{close}'? " if close else ""
    return f"{where}: has no {what} '{name}'; it has {listed or 'none'}: {hint}Name the {what} in {section}.{key}"
