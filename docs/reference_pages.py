"""A hook of MkDocs: adds the pages that are written from the code, and documents from elsewhere in the repository."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from generators import command_line, components, metric_table, pipeline_file, python_api, score_table
from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

ROOT = Path(__file__).parents[1]


def pages() -> dict[str, str]:
    """The generated pages in Markdown, by their place among the others."""
    return {
        "reference/pipeline-file.md": pipeline_file.page(),
        "reference/command-line.md": command_line.page(),
        "reference/strategies.md": components.page("strategies"),
        "reference/datasets.md": components.page("datasets"),
        "reference/models.md": components.page("models"),
        "reference/objectives.md": components.page("objectives"),
        "reference/metrics.md": metric_table.page(),
        "reference/scores.md": score_table.page(),
        "reference/python-api.md": python_api.page(),
        "how-to/kubernetes-cluster.md": (ROOT / "k8s" / "README.md").read_text("utf-8"),
        "changelog.md": (ROOT / "CHANGELOG.md").read_text("utf-8"),
        "contributing.md": (ROOT / "CONTRIBUTING.md").read_text("utf-8"),
    }


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Called by MkDocs with the pages that it found."""
    # Defaults are shown as they are without them.
    for variable in ("EVERLEARN_STORAGE", "MLFLOW_TRACKING_URI"):
        os.environ.pop(variable, None)
    for place, text in pages().items():
        files.append(File.generated(config, place, content=text))
    files.append(File.generated(config, "images/mlflow.png", abs_src_path=str(ROOT / ".github" / "mlflow.png")))
    return files
