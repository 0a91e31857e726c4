import math

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pipelines.config.document import MAX_BYTES, MAX_DEPTH, Document, Problem, parse
from pipelines.config.pipeline_errors import PipelineError

keys = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=8)
scalars = st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.floats(allow_nan=False) | st.text(max_size=20)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4), max_leaves=20
)


def refused(text: str) -> str:
    with pytest.raises(PipelineError) as error:
        parse(text, "f.yaml")
    return str(error.value)


def problems(text: str) -> list[str]:
    document = parse(text, "f.yaml")
    return [document.describe(problem) for problem in document.problems]


@given(values)
def test_reads_what_safe_dump_wrote(value: object) -> None:
    document = parse(yaml.safe_dump(value), "f.yaml")
    assert document.data == value
    assert not document.problems


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse(text, "f.yaml")
    except PipelineError as error:
        assert all(line.startswith("f.yaml:") and line.isprintable() for line in error.problems)


def test_every_key_and_item_has_its_line() -> None:
    document = parse("a: 1\nb:\n  c: [1,\n    2]\n  d:\n  - e: 3\n", "f.yaml")
    assert document.origins == {
        (): 1,
        ("a",): 1,
        ("b",): 2,
        ("b", "c"): 3,
        ("b", "c", 0): 3,
        ("b", "c", 1): 4,
        ("b", "d"): 5,
        ("b", "d", 0): 6,
        ("b", "d", 0, "e"): 6,
    }


def test_what_is_not_there_has_the_line_above_it() -> None:
    document = parse("a:\n  b: 1\n", "f.yaml")
    assert document.describe(Problem(("a", "x", "y"), "is required")) == "f.yaml:1: a.x.y: is required"
    assert document.describe(Problem((), "is wrong", "3")) == "f.yaml:1: is wrong, got 3"


def test_parts_can_be_asked_for() -> None:
    document = Document("f.yaml", {"a": [{"b": 3}]})
    assert document.get(("a", 0, "b")) == 3
    assert document.get(("a", 1)) is None
    assert document.get(("a", 0, "b", "c")) is None


def test_exponents_without_a_dot_are_text_as_in_safe_load() -> None:
    text = "[1e-3, 1.0e-3, 1:30, 0x10, on]"
    assert parse(text, "f.yaml").data == yaml.safe_load(text) == ["1e-3", 0.001, 90, 16, True]


def test_infinity_and_nan_are_left_to_the_schema() -> None:
    data = parse("[.inf, -.inf, .nan]", "f.yaml").data
    assert data[:2] == [math.inf, -math.inf] and math.isnan(data[2])


def test_aliases_and_merge_keys() -> None:
    text = "x: &x {a: 1, b: 2}\ny:\n  b: 3\n  <<: *x\nz: *x\n"
    assert parse(text, "f.yaml").data == {"x": {"a": 1, "b": 2}, "y": {"a": 1, "b": 3}, "z": {"a": 1, "b": 2}}
    assert problems("a:\n  <<: 3\n") == ["f.yaml:2: a: '<<' merges mappings only"]


def test_whole_numbers_are_keys_too() -> None:
    assert parse("{3: a}", "f.yaml").data == {"3": "a"}


def test_a_key_given_twice() -> None:
    assert problems("a: 1\nb: 2\na: 3\n") == ["f.yaml:3: a: given twice, first on line 1"]
    assert problems("3: 1\n'3': 2\n") == ["f.yaml:2: 3: given twice, first on line 1"]


def test_keys_that_are_not_text() -> None:
    assert problems("a:\n  yes: 1\n") == ["f.yaml:2: a: a key must be text: put it in quotes"]
    assert problems("[a]: 1\n") == ["f.yaml:1: a key must be text: put it in quotes"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("!!python/object/apply:os.system [ls]", "the tag python/object/apply:os.system is not used"),
        ("!!set {a, b}", "the tag set is not used"),
        ("!own 3", "the tag !own is not used"),
        ("2024-01-01", "a date is not used in pipeline files: put it in quotes, '2024-01-01'"),
        ("!!int x", "cannot be read as int"),
        ("!!bool maybe", "cannot be read as bool"),
        ("1" * 5000, "cannot be read as int"),
        ("99999999999999999999", "a whole number of more than 63 bits"),
        ("1.0e+999", "cannot be read as float"),
        ('"\\ud800"', "holds half of a surrogate pair"),
    ],
)
def test_values_of_other_kinds(value: str, message: str) -> None:
    (problem,) = problems(f"a: 1\nb: {value}\n")
    assert problem.startswith(f"f.yaml:2: b: {message}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: b: c", "f.yaml:1: not valid YAML: mapping values are not allowed here"),
        ("a: 1\nb: [1,\n", "f.yaml:3: not valid YAML: while parsing a flow node"),
        ("a: *b", "f.yaml:1: not valid YAML: found undefined alias 'b'"),
        ("a: 1\n---\nb: 2\n", "f.yaml:2: not valid YAML: expected a single document"),
        ("a: 1\nb: \x07\n", "f.yaml:2: not valid YAML: special characters are not allowed"),
        ('a: "\\Uffffffff"', "f.yaml:1: not valid YAML: "),
        ("a: " + "[" * 100000, f"f.yaml:1: nested deeper than {MAX_DEPTH} levels"),
        ("- " * 5000, f"f.yaml:1: nested deeper than {MAX_DEPTH} levels"),
        ("a: &a [*a]", "nested deeper than"),
        ("a: &a {<<: *a}", "nested deeper than"),
        ("x" * (MAX_BYTES + 1), "f.yaml:1: larger than 1024 KiB"),
        ("[" + "1," * 200_000 + "]", "f.yaml:1: more than 100000 values"),
    ],
)
def test_texts_that_cannot_be_read(text: str, message: str) -> None:
    assert message in refused(text)


def test_a_bomb_of_aliases() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    assert "with every alias written out" in refused("\n".join(lines))


def test_a_text_from_the_command_line_has_its_option_instead_of_lines() -> None:
    document = parse("{a: {b: 1}}", "", start=("x",), origin="--set x={a: {b: 1}}")
    assert document.describe(Problem(("x",), "is wrong")) == "--set x={a: {b: 1}}: is wrong"
    assert document.describe(Problem(("x", "a"), "is wrong")) == "--set x={a: {b: 1}}: x.a: is wrong"


def test_errors_come_in_the_order_of_the_file_each_once() -> None:
    document = parse("a: 1\nb: 2\n", "f.yaml")
    document.origins["c",] = "--set c=3"
    document.problems = [Problem((key,), "is wrong") for key in "cbaa"]
    assert document.error().problems == ["f.yaml:1: a: is wrong", "f.yaml:2: b: is wrong", "--set c=3: is wrong"]


def test_a_hundred_errors_are_enough() -> None:
    document = Document("f.yaml", problems=[Problem((str(number),), "is wrong") for number in range(250)])
    assert len(document.error().problems) == 101
    assert document.error().problems[-1] == "f.yaml: and 150 more problems"


def test_a_problem_is_one_line_without_secrets() -> None:
    document = parse('"a\\nb": 1\n', "f.yaml")
    assert document.describe(Problem(("a\nb",), "https://u:pw@h\x1b[1m")) == ("f.yaml:1: a\\nb: https://***@h\\x1b[1m")
