import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.config.document import Document
from pipelines.config.environment_variables import escape, expand, substitute


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SET", "value")
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.delenv("UNSET", raising=False)


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("${SET}", "value"),
        ("a/${SET}/${SET}", "a/value/value"),
        ("${UNSET:-default/x}", "default/x"),
        ("${EMPTY:-default}", "default"),
        ("${SET:-default}", "value"),
        ("${UNSET:-}", ""),
        ("${EMPTY}", ""),
        ("$SET {SET} $", "$SET {SET} $"),
        ("$${SET}", "${SET}"),
    ],
)
def test_expands(text: str, expanded: str) -> None:
    assert expand(text) == expanded


@pytest.mark.parametrize("text", ["${UNSET}", "${", "${1A}", "${A-b}", "${SET:-${UNSET}}", "${}"])
def test_refuses(text: str) -> None:
    with pytest.raises(ValueError, match=r"UNSET is not set|must begin"):
        expand(text)


def test_the_value_of_a_variable_is_not_expanded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTER", "${SET}")
    assert expand("${OUTER}") == "${SET}"


@given(st.text("${}:-ASET") | st.text())
def test_escape_is_undone(text: str) -> None:
    assert expand(escape(text)) == text


def test_only_storage_and_tracking_read_variables() -> None:
    data = {"storage": "${SET}", "tracking": {"uri": "${SET}", "experiment": "${UNSET:-x}"}, "name": "${SET}"}
    document = Document("f.yaml", data)
    substitute(document)
    assert document.data["storage"] == "value"
    assert document.data["tracking"] == {"uri": "value", "experiment": "x"}
    assert [problem.path for problem in document.problems] == [("name",)]
    assert "storage and tracking only" in document.problems[0].message


def test_references_anywhere_else_are_found() -> None:
    document = Document("f.yaml", {"a": [{"b": "x${SET}"}], "c": {"${SET}": 1}})
    substitute(document)
    assert [problem.path for problem in document.problems] == [("a", 0, "b"), ("c", "${SET}")]


def test_a_variable_that_is_not_set_is_named() -> None:
    document = Document("f.yaml", {"tracking": {"uri": "http://me:pw@${UNSET}"}})
    substitute(document)
    assert document.problems[0].path == ("tracking", "uri")
    assert "UNSET is not set" in document.problems[0].message
    assert "pw" not in document.problems[0].message
