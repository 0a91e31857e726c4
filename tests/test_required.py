"""The tests' own rule for what may be missing, and the summary of what was skipped."""

from __future__ import annotations

import pytest

from tests.required import missing

pytest_plugins = ["pytester"]


@pytest.mark.parametrize("value", ["", "0", "false", "False", None])
def test_what_is_missing_skips_on_a_persons_machine(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    if value is not None:
        monkeypatch.setenv("CI", value)
    with pytest.raises(pytest.skip.Exception, match="no kubectl"):
        missing("no kubectl")


@pytest.mark.parametrize("value", ["1", "true"])
def test_what_is_missing_fails_in_ci(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", value)
    with pytest.raises(pytest.fail.Exception, match="no kubectl"):
        missing("no kubectl")


def test_the_summary_says_what_was_skipped_and_why(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("from tests.conftest import pytest_terminal_summary")
    pytester.makepyfile(
        test_one="import pytest\n"
        "@pytest.mark.parametrize('n', [1, 2, 3])\n"
        "@pytest.mark.skip(reason='there is no GPU here')\ndef test_a(n): ...\n"
        "def test_b():\n    pytest.skip('no data')\n"
        "def test_c(): ...\n"
    )
    lines = pytester.runpytest("-q", "-p", "no:cacheprovider").outlines
    assert [line for line in lines if line.startswith("skipped")] == [
        "skipped 3: there is no GPU here (test_one.py)",
        "skipped 1: no data (test_one.py)",
    ]


def test_without_skips_there_is_no_summary(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("from tests.conftest import pytest_terminal_summary")
    pytester.makepyfile("def test_c(): ...")
    assert not [line for line in pytester.runpytest("-q").outlines if line.startswith("skipped")]
