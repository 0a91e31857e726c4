"""What people call the experiences of a stream: a month, a domain, the classes, a transform."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipelines.data.experience_samples import Part
from pipelines.data.transforms import Permute, Rotate

if TYPE_CHECKING:
    from pipelines.data.streams import Stream

_LONGEST = 60


def experience_names(stream: Stream) -> tuple[str | None, ...]:
    """A name for each experience: its file or the value of the column that divides the data, its transform, or its
    classes where experiences differ in them; None where nothing tells it from the others."""
    parts = [experience._part for experience in stream]
    found = [_domain(part) or _transform(part) for part in parts]
    if not any(found):
        classes = [part.classes for part in parts]
        if len(set(classes)) > 1:
            found = [class_text(own, stream.class_names) for own in classes]
    return tuple(map(_short, found))


def domain_names(stream: Stream) -> list[str] | None:
    """Names of the experiences that the data itself gives, where all have the same classes: files, months, sites."""
    parts = [experience._part for experience in stream]
    found = [_short(_domain(part)) for part in parts]
    named = [name for name in found if name is not None]
    same = len({tuple(part.classes) for part in parts}) == 1
    return named if same and len(set(named)) == len(parts) else None


def class_text(classes: Sequence[int], names: Sequence[str] | None = None) -> str:
    """Classes by their names, or `classes 4, 5`; three and more in a row as `classes 4-9`."""
    if names is not None and all(label < len(names) for label in classes):
        return ", ".join(names[label] for label in classes)
    run = len(classes) > 2 and list(classes) == list(range(classes[0], classes[-1] + 1))
    text = f"{classes[0]}-{classes[-1]}" if run else ", ".join(map(str, classes))
    return f"{'class' if len(classes) == 1 else 'classes'} {text}"


def _domain(part: Part) -> str | None:
    """The name that the data gives the experience."""
    return getattr(part, "domain", None)


def _transform(part: Part) -> str | None:
    if isinstance(part.transform, Rotate):
        return f"rotated by {part.transform.degrees:.0f} degrees"
    return "permuted" if isinstance(part.transform, Permute) else None


def _short(name: str | None) -> str | None:
    return name if name is None or len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}"
