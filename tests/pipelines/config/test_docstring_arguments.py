from pipelines.config.docstring_arguments import documented_arguments


def test_google_style_sections_are_read_over_several_lines() -> None:
    text = """Summary: not an argument.

    Args:
        path: a file
            or a folder: both do.
        rows, columns: how many.
        *others (int): the rest.

    Returns:
        nothing: at all.

    Attributes:
        kind: of it.
    """
    assert documented_arguments(text) == {
        "path": "a file or a folder: both do.",
        "rows": "how many.",
        "columns": "how many.",
        "others": "the rest.",
        "kind": "of it.",
    }


def test_a_docstring_without_sections_gives_nothing() -> None:
    assert documented_arguments(None) == documented_arguments("One line.") == documented_arguments("Args:\n") == {}
