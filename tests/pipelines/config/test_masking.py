import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.config.masking import mask, mask_value, shorten, show

SECRET = "s3cr3t"


@pytest.mark.parametrize(
    "uri",
    [
        f"https://me:{SECRET}@host/path",
        f"https://{SECRET}@host",
        f"postgresql+psycopg://me:{SECRET}/x@host:5432/db",
        f"https://host/?password={SECRET}&x=1",
        f"https://host/?X-Amz-Signature={SECRET}",
    ],
)
def test_a_sentence_with_a_uri_holds_no_secret(uri: str) -> None:
    assert SECRET not in mask(f"cannot reach {uri} now")
    assert "host" in mask(uri)


@given(st.text(), st.text())
def test_a_password_of_any_characters_is_not_shown(before: str, after: str) -> None:
    for scheme in ("https://", "mysql://", ""):
        assert SECRET not in mask_value(f"{scheme}me:{before}{SECRET}{after}@host")
        assert SECRET not in show([{"uri": f"{scheme}me:{before}{SECRET}{after}@host"}])


def test_values_without_secrets_stay() -> None:
    for value in ("s3://bucket/prefix", ".everlearn/store", "sqlite:///a.db", "http://host:5000", "me@host"):
        assert mask_value(value) == value


def test_values_are_shown_as_in_yaml() -> None:
    assert show(None) == "null"
    assert show(True) == "true"
    assert show(-3) == "-3"
    assert show("x") == "'x'"
    assert show("it's") == '"it\'s"'
    assert show({"a": [1, {"b": None}]}) == "{a: [1, {b: null}]}"


def test_long_values_are_cut() -> None:
    assert len(show("x" * 1000)) == 80
    assert len(show([[1] * 50] * 1000)) == 80
    assert shorten("abc", 3) == "abc"
