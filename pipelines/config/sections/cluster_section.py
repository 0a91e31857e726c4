"""The `cluster` part of a pipeline file: the Ray cluster for `everlearn submit`, and what is uploaded with the job."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from pipelines.config.sections.section import Spec
from strategies.api.influence import NOT_LEARNED

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def checked_address(address: str) -> str:
    """The full address of a cluster's Jobs API: `head:8265` as http://head:8265.

    Raises:
        ValueError: it is no address, or holds a secret.
    """
    full = (address if "://" in address else f"http://{address}").rstrip("/")
    try:
        parts = urlsplit(full)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if valid and "@" in parts.netloc:
        raise ValueError("must not hold a user: put the token into the file that RAY_AUTH_TOKEN_PATH names")
    if not valid:
        raise ValueError("must be the address of the head's dashboard, http://HEAD:8265")
    return full


def _variable(name: str) -> str:
    if _NAME.fullmatch(name) is None:
        raise ValueError(
            "must be the name of a variable only: its value comes from the environment at `everlearn submit`"
        )
    return name


class ClusterSpec(Spec):
    """Where `everlearn submit` runs the pipeline. Never changes what is learned, and must not hold secrets.

    Attributes:
        address: the address of the head's dashboard, http://HEAD:8265; None: that in RAY_API_SERVER_ADDRESS.
        ca: a file with the certificate authority of an https address; None: the system's authorities.
        working_dir: a folder with your own modules, uploaded with the job.
        dependencies: requirements that pip installs for the job.
        env: names of environment variables that the job gets, with their values where it is submitted.

    Paths are relative to the working directory of the command, as everywhere in a pipeline file.
    """

    address: Annotated[Annotated[str, AfterValidator(checked_address)] | None, NOT_LEARNED] = None
    ca: Annotated[Annotated[str, Field(min_length=1)] | None, NOT_LEARNED] = None
    working_dir: Annotated[Annotated[str, Field(min_length=1)] | None, NOT_LEARNED] = None
    dependencies: Annotated[list[Annotated[str, Field(min_length=1)]], NOT_LEARNED] = Field(default_factory=list)
    env: Annotated[list[Annotated[str, AfterValidator(_variable)]], NOT_LEARNED] = Field(default_factory=list)
