import pipelines
from pipelines.config.component_marks import is_marked


@pipelines.dataset
def rows() -> None:
    """A dataset."""


@pipelines.model
class Net:
    """A model."""


class Derived(Net):
    """Carries no mark of its own."""


def test_a_mark_says_what_it_marks() -> None:
    assert is_marked(rows, "datasets") and not is_marked(rows, "models")
    assert is_marked(Net, "models") and not is_marked(Derived, "models")
    assert not is_marked(print, "datasets") and not is_marked(object(), "datasets")
