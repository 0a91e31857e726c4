"""Warnings of what accuracy hides."""

from strategies.metrics import data_warning, result_warning


def test_a_class_with_nearly_all_samples_is_named_with_the_remedy() -> None:
    text = data_warning({0: 980, 1: 20})
    assert text is not None and "\n" not in text
    assert text.startswith("class 0 has 98.0% of the training samples") and "objective.class_weights" in text
    assert data_warning({0: 900, 1: 100}) is None and data_warning({0: 901, 1: 99}) is not None
    # One class alone has nothing to hide.
    assert data_warning({}) is None and data_warning({3: 50}) is None and data_warning({3: 50, 4: 0}) is None


def test_a_result_that_looks_good_by_the_majority_alone_is_named() -> None:
    text = result_warning([(0, 980, 980), (1, 0, 20)], {0, 1})
    assert text is not None and "class 0 has 98.0% of the test samples, and of class 1 0.0% are" in text
    assert "balanced_accuracy" in text
    text = result_warning([(0, 970, 980), (1, 15, 20)], {0, 1})
    assert text is not None and "of class 1 75.0% are classified right" in text
    assert result_warning([(0, 700, 800), (1, 15, 200)], {0, 1}) is None


def test_a_class_that_was_just_learned_and_is_never_right_is_named_but_not_one_that_was_forgotten() -> None:
    classes = [(0, 0, 50), (1, 40, 50), (2, 0, 50), (3, 0, 9), (4, 41, 50)]
    text = result_warning(classes, {2, 3, 4})
    assert text is not None and "no test sample of class 2 is classified right" in text
    assert result_warning(classes, {1, 3, 4}) is None
    assert result_warning([], {0}) is None


def test_classes_are_called_by_their_names() -> None:
    names = ("good", "fraud", "odd")
    text = data_warning({0: 980, 1: 20}, names)
    assert text is not None and text.startswith("class good has 98.0% of the training samples")
    text = result_warning([(0, 980, 980), (1, 0, 20)], {0, 1}, names)
    assert text is not None and "class good has 98.0% of the test samples, and of class fraud 0.0% are" in text
    text = result_warning([(0, 50, 50), (1, 0, 20), (2, 0, 20)], {1, 2}, names)
    assert text is not None and "no test sample of classes fraud, odd is" in text
