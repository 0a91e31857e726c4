import pytest

from pipelines.config.exponent_notation import exponent


@pytest.mark.parametrize(
    ("text", "number"), [("1e-3", 0.001), ("-2E5", -200000.0), ("+1.5e+3", 1500.0), ("1.e2", 100.0)]
)
def test_text_with_an_exponent_is_a_number(text: str, number: float) -> None:
    assert exponent(text) == number


@pytest.mark.parametrize("value", ["1", "1.5", "e3", "1e", "1e3x", " 1e3", "1e3\n", "1e999", "٣e3", 1e3, None])
def test_anything_else_is_not(value: object) -> None:
    assert exponent(value) is None
