"""What experiences are called."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.data.experience_names import class_text, domain_names, experience_names
from tests.pipelines.data.made_streams import stream


def test_by_their_classes() -> None:
    assert experience_names(stream(experiences=2)) == ("classes 0, 1", "classes 2, 3")
    assert class_text([0, 1, 2]) == "classes 0-2" and class_text([4]) == "class 4"
    assert class_text([0, 2], ["cat", "dog", "emu"]) == "cat, emu"


def test_by_their_transform() -> None:
    turned = stream(
        setting="domain-incremental", experiences=2, transform="rotate", transform_options={"degrees": [0, 60]}
    )
    assert experience_names(turned) == (None, "rotated by 60 degrees")
    assert domain_names(turned) is None and domain_names(stream(experiences=2)) is None


@pytest.mark.parametrize("folder", [True, False], ids=["files", "a column"])
def test_by_what_divides_the_data(tmp_path: Path, folder: bool) -> None:
    rows = [f"{x},{x % 2},{month}" for month in ("2026-01", "2026-02") for x in range(20)]
    if folder:
        for month in ("2026-01", "2026-02"):
            (tmp_path / f"{month}.csv").write_text("\n".join(["x,label,month", *(r for r in rows if month in r)]))
    else:
        (tmp_path / "all.csv").write_text("\n".join(["x,label,month", *rows]))
    where: dict[str, str] = {"path": str(tmp_path)} if folder else {"path": str(tmp_path / "all.csv"), "by": "month"}
    found = stream("csv", setting="domain-incremental", inputs=["x"], **where)
    assert experience_names(found) == ("2026-01", "2026-02")
    assert domain_names(found) == ["2026-01", "2026-02"]
