"""The example pipeline files that are installed with the package."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.config.pipeline_errors import PipelineError
from pipelines.config.suggest import did_you_mean

FOLDER = Path(__file__).parents[1] / "examples"


@dataclass(frozen=True)
class Example:
    """A pipeline file, and the modules beside it that it uses.

    Attributes:
        name: the file's name without its suffix.
        file: where it is installed.
        published: whether it repeats the protocol of a paper, and has the paper's numbers.
    """

    name: str
    file: Path
    published: bool

    @property
    def summary(self) -> str:
        """The first line of the comment at its top."""
        first = self.file.read_text("utf-8").partition("\n")[0]
        return first.removeprefix("#").strip()

    @property
    def dataset(self) -> str:
        """The name of the dataset that it trains on."""
        named = self._document()["stream"]["dataset"]
        return str(named["name"] if isinstance(named, dict) else named)

    @property
    def tunes(self) -> bool:
        """Whether it has a search space (`tune`)."""
        return "tune" in self._document()

    @property
    def files(self) -> list[Path]:
        """The files to run it from another folder: itself, and modules beside it that its import paths name."""
        modules = {name.partition(":")[0] for name in _texts(self._document()) if ":" in name}
        beside = [self.file.parent / f"{module}.py" for module in sorted(modules) if module.isidentifier()]
        return [self.file, *(file for file in beside if file.is_file())]

    def _document(self) -> Any:
        import yaml

        return yaml.safe_load(self.file.read_text("utf-8"))


def examples(folder: Path = FOLDER) -> list[Example]:
    """All examples by name; published ones come last."""
    found = [(folder, False), (folder / "published", True)]
    return [Example(file.stem, file, published) for where, published in found for file in sorted(where.glob("*.yaml"))]


def find_example(name: str, folder: Path = FOLDER) -> Example:
    """The example called `name`, with or without the suffix .yaml.

    Raises:
        PipelineError: there is no such example; the message suggests the closest name.
    """
    known = {example.name: example for example in examples(folder)}
    wanted = name.removesuffix(".yaml").removeprefix("published/")
    if wanted in known:
        return known[wanted]
    close = did_you_mean(wanted, known)
    hint = f", did you mean '{close}'?" if close else "; `everlearn example` lists them"
    raise PipelineError(f"there is no example '{name}'{hint}")


def write_example(example: Example, folder: Path, *, overwrite: bool = False) -> list[Path]:
    """Copy an example and what it needs into a folder.

    Args:
        overwrite: replace existing files.

    Returns:
        The files that were written.

    Raises:
        PipelineError: a file of that name exists, or the folder cannot be written. Nothing is written then. A module
            of the same content, which another example brought, does not count.
    """
    targets = [(source, folder / source.name) for source in example.files]
    there = [target.name for source, target in targets if _in_the_way(source, target)]
    if there and not overwrite:
        raise PipelineError(f"{', '.join(there)}: exists already, and nothing was written; --force replaces it")
    for source, target in targets:
        try:
            target.write_bytes(source.read_bytes())
        except OSError as error:
            raise PipelineError(f"{target}: cannot be written: {error.strerror}") from None
    return [target for _, target in targets]


def _in_the_way(source: Path, target: Path) -> bool:
    """Whether a file would be lost."""
    if not target.exists() and not target.is_symlink():
        return False
    return source.suffix != ".py" or not target.is_file() or target.read_bytes() != source.read_bytes()


def _texts(document: Any) -> Iterator[str]:
    if isinstance(document, dict):
        document = list(document.values())
    if isinstance(document, list):
        for one in document:
            yield from _texts(one)
    elif isinstance(document, str):
        yield document
