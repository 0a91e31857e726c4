from pipelines.config.suggest import did_you_mean


def test_the_closest_word_is_meant() -> None:
    assert did_you_mean("epoch", ["steps", "epochs", "clip"]) == "epochs"
    assert did_you_mean("EPOCHS", ["epochs"]) == "epochs"


def test_nothing_is_meant_by_a_word_far_from_all() -> None:
    assert did_you_mean("zzz", ["steps", "epochs"]) is None
    assert did_you_mean("x", []) is None
