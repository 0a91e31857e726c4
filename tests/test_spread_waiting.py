"""The order of the test files where several processes take them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.spread_waiting import spread

pytest_plugins = ["pytester"]

COMPUTES = "import pytest\n@pytest.mark.parametrize('n', range({0}))\ndef test_a(n): ...\n"
WAITS = "import pytest\n@pytest.mark.ray\ndef test_a(): ...\ndef test_b(): ...\n"


def order(pytester: pytest.Pytester, shared: str = "") -> list[str]:
    """The files of all tests in their order, each once where its tests lie side by side."""
    items, _ = pytester.inline_genitems("-p", "no:cacheprovider")
    found = spread(items, Path(pytester.path, shared or "nowhere"))
    assert sorted(item.nodeid for item in found) == sorted(item.nodeid for item in items)
    files = [item.path.stem for item in found]
    for file in set(files):
        own = [item.nodeid for item in items if item.path.stem == file]
        assert [item.nodeid for item in found if item.path.stem == file] == own
    return [file for index, file in enumerate(files) if index == 0 or files[index - 1] != file]


def test_files_that_wait_lie_evenly_among_the_others_and_not_at_the_end(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        **{f"test_r{n}": WAITS for n in range(4)}, **{f"test_c{n}": COMPUTES.format(5) for n in range(8)}
    )
    c, r = [f"test_c{n}" for n in range(8)], [f"test_r{n}" for n in range(4)]
    assert order(pytester) == [r[0], *c[:2], r[1], *c[2:3], r[2], *c[3:5], r[3], *c[5:]]


def test_files_that_share_one_ray_stay_side_by_side(pytester: pytest.Pytester) -> None:
    folder = pytester.mkpydir("shared")
    for name in ("test_s1", "test_s2", "test_s3"):
        (folder / f"{name}.py").write_text(WAITS)
    pytester.makepyfile(test_a=COMPUTES.format(4), test_r=WAITS, test_t=WAITS, test_u=WAITS)
    assert order(pytester, "shared") == ["test_r", "test_s1", "test_s2", "test_s3", "test_t", "test_u", "test_a"]


@pytest.mark.parametrize("text", [WAITS, COMPUTES.format(2)], ids=["waits", "computes"])
def test_files_of_one_kind_stay_in_their_order(pytester: pytest.Pytester, text: str) -> None:
    pytester.makepyfile(test_a=text, test_b=text)
    assert order(pytester) == ["test_a", "test_b"]
