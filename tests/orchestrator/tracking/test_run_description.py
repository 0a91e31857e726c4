"""The description of a run."""

from __future__ import annotations

from orchestrator.tracking.run_description import description, headline

METRICS: dict[str, float | None] = {"average_accuracy": 0.75, "backward_transfer": -0.48, "forgetting": None}


def describe(rows: list[list[float | None]], length: int = 2, model: str | None = None) -> str:
    return description(
        rows, METRICS, strategies=["ewc", "replay"], stream_length=length, commit="ab" * 32, uri="sqlite:////x/m.db",
        model=model,
    )  # fmt: skip


def test_headline_leaves_out_what_is_not_defined() -> None:
    assert headline(["ewc", "replay"], METRICS) == "ewc + replay: average accuracy 75.0 %"
    assert headline(["naive"], {}) == "naive"


def test_matrix_in_percent_with_gaps() -> None:
    text = describe([[0.98, None], [0.5, 1.0]])
    assert "    0     98.0\n" in text
    assert "    1     50.0   100.0\n" in text
    assert "backward transfer             -48.0 %" in text
    assert "forgetting" not in text
    assert "2 experiences" in text


def test_says_how_far_an_unfinished_stream_came() -> None:
    assert "2 of 5 experiences" in describe([[0.9], [0.8]], length=5)


def test_says_how_to_load_the_model_if_there_is_one() -> None:
    assert "load_model" not in describe([[0.9]])
    assert 'mlflow.pytorch.load_model("models:/m-1")' in describe([[0.9]], model="models:/m-1")


def test_fits_into_a_tag_however_long_the_stream() -> None:
    for length in (12, 200):
        rows: list[list[float | None]] = [[0.5] * length for _ in range(length)]
        assert len(describe(rows, length, "models:/m-1")) < 5000
