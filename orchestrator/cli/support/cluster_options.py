"""How the commands find the cluster of a job: its address and the certificate authority."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from orchestrator.jobs.client import Jobs
    from pipelines.config.sections.cluster_section import ClusterSpec

address_option = click.option(
    "--address",
    metavar="URL",
    help="Dashboard of the Ray head, http://HEAD:8265; else RAY_API_SERVER_ADDRESS, else `cluster` in the file.",
)
ca_option = click.option("--ca", metavar="PEM", type=click.Path(), help="Certificate authority of an https address.")
file_option = click.option(
    "--file", "file", metavar="FILE", type=click.Path(), help="Pipeline file whose `cluster` section has the address."
)


def jobs_of(address: str | None, ca: str | None, cluster: ClusterSpec | None) -> Jobs:
    """The jobs of the cluster that the options, the environment or a pipeline file name, in this order.

    Raises:
        ClusterError: none of them has an address, or the cluster is unavailable.
    """
    import os

    from orchestrator.jobs.client import Jobs
    from orchestrator.jobs.dashboard_client import ADDRESS

    named = cluster.address if cluster is not None else None
    return Jobs(address or os.environ.get(ADDRESS) or named, ca or (cluster.ca if cluster is not None else None))


def cluster_of(file: str | None) -> ClusterSpec | None:
    """The `cluster` section of a pipeline file; None if it has none.

    Raises:
        PipelineError: the file is wrong.
    """
    if file is None:
        return None
    from orchestrator.jobs.kubernetes.ray_job import STAND_INS
    from pipelines.config.load import load_pipeline

    # A command that asks for a job uses neither storage nor tracking: their variables need not be set here.
    return load_pipeline(file, STAND_INS, import_code=False).cluster
