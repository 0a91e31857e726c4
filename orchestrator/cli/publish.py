"""`everlearn publish`: write to MLflow what is missing there."""

from __future__ import annotations

import click

from orchestrator.cli.options import Command, file_argument, load, set_option


@click.command("publish", cls=Command, short_help="Complete the MLflow run of FILE.")
@file_argument()
@set_option
def publish(file: str, overrides: tuple[str, ...]) -> None:
    """Complete the MLflow run of FILE's lineage, as after a tracking server that was away. Twice does no harm."""
    load(file, overrides)
