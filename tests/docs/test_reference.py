"""The reference is complete: what the code declares is on its pages."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.cli.main import everlearn
from pipelines.config.component_options import options_model
from pipelines.config.components import BUILT_IN, resolve
from pipelines.config.optimizers import OPTIMIZERS
from pipelines.config.schema import Pipeline
from pipelines.config.sections.section import Spec
from strategies.api.compatibility import Listed, limits, refusals
from strategies.api.guide import needs
from strategies.metrics.metric_registry import all_metrics
from tests.docs.pages import ROOT


@pytest.fixture(scope="module")
def reference() -> Iterator[dict[str, str]]:
    """The generated pages."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "docs"))
        from reference_pages import pages

        yield pages()
        for name in [name for name in sys.modules if name.partition(".")[0] in ("generators", "reference_pages")]:
            del sys.modules[name]


def specs(kind: type[Spec]) -> Iterator[type[Spec]]:
    yield kind
    for inner in kind.__subclasses__():
        yield from specs(inner)


def test_every_key_of_every_section_is_described(reference: dict[str, str]) -> None:
    page = reference["reference/pipeline-file.md"]
    sections = [kind for kind in specs(Spec) if kind.__module__.startswith(("pipelines.config.", Pipeline.__module__))]
    keys = {field.alias or key for kind in sections for key, field in kind.model_fields.items()} - {
        "kind",
        "values",
    }  # a domain is written otherwise
    assert {key for key in keys if f"| `{key}` |" not in page} == set()
    assert all(f"`{name}`" in page for name in OPTIMIZERS)


def test_every_command_and_option_is_described(reference: dict[str, str]) -> None:
    page = reference["reference/command-line.md"]
    for name, command in everlearn.commands.items():
        section = page.partition(f"## `{name}` ")[2].partition("\n## ")[0]
        for parameter in command.params:
            if parameter.param_type_name == "option":
                assert parameter.opts[0] in section, f"{name} {parameter.opts[0]}"


@pytest.mark.parametrize("kind", list(BUILT_IN))
def test_every_component_and_its_options_are_described(reference: dict[str, str], kind: str) -> None:
    page = reference[f"reference/{kind}.md"]
    for name in BUILT_IN[kind]:  # type: ignore[index]
        section = page.partition(f"## `{name}`\n")[2].partition("\n## ")[0]
        for key, field in options_model(kind, name).model_fields.items():  # type: ignore[arg-type]
            assert f"| `{field.alias or key}` |" in section, f"{name} {key}"


def test_what_strategies_declare_is_described(reference: dict[str, str]) -> None:
    page = reference["reference/strategies.md"]
    kinds = {name: resolve("strategies", name) for name in BUILT_IN["strategies"]}
    for name, kind in kinds.items():
        section = page.partition(f"## `{name}`\n")[2].partition("\n## ")[0]
        assert all(f": {name} {text}" in section for text in limits(kind).values())
        assert all(need in section.partition("- Needs: ")[2].partition("\n")[0] for need in needs(kind))
        refused = section.partition("- Cannot be listed beside: ")[2].partition("\n")[0]
        for other, beside in kinds.items():
            assert (f"`{other}`" in refused) == (name != other and bool(refusals([Listed(kind), Listed(beside)])))


def test_every_metric_is_described(reference: dict[str, str]) -> None:
    page = reference["reference/metrics.md"]
    assert [metric.name for metric in all_metrics() if f"| `{metric.name}` | {metric.unit} |" not in page] == []


def test_every_exported_name_is_described(reference: dict[str, str]) -> None:
    import orchestrator
    import pipelines
    import strategies

    page = reference["reference/python-api.md"]
    for package in (orchestrator, pipelines, strategies):
        for name in getattr(package, "__all__", ()):
            assert f"### `{package.__name__}.{name}`" in page


def test_a_key_without_a_meaning_is_an_error(reference: dict[str, str], tmp_path: Path) -> None:
    from generators.option_table import section_table

    class Undescribed(Spec):
        """A section that says nothing of its key."""

        key: int = 0

    with pytest.raises(ValueError, match=r"Undescribed\.key does not say what it means"):
        section_table(Undescribed)
