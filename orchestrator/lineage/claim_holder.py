"""The content of a claim: the process that holds it."""

from __future__ import annotations

import json
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from orchestrator.errors import StorageError

Purpose = Literal["run", "search", "gc", "forget", "copy", "promotion"]

LEASE_S = 60.0
LONGEST_LEASE = 3600.0

_WORK = {
    "run": "another run",
    "search": "a search (everlearn tune or compare)",
    "gc": "everlearn gc",
    "forget": "everlearn forget",
    "copy": "everlearn copy",
    "promotion": "a decision on the champion (everlearn gate, promote or rollback)",
}


class Holder(BaseModel):
    """The process that holds a claim.

    Attributes:
        token: a random name of this holding of the claim; None: the claim is free.
        purpose: the command that holds it.
        target: the id of the last commit of the run, or of the search.
        host, pid: of the process.
        machine, started: identify the process on its machine, to see whether it still runs; None: unknown.
        since: ISO 8601, UTC, by the clock of `host`; only shown to people.
        lease: seconds without a change after which the claim has expired.
        beat: the number of renewals.
        entering: the process has not yet checked for claims that exclude it; left out of the JSON when false, as in
            claims of older versions.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: Literal[1] = 1
    token: Annotated[str, Field(max_length=64)] | None = None
    purpose: Purpose = "run"
    target: Annotated[str, Field(max_length=100)] | None = None
    host: Annotated[str, Field(max_length=255)] = ""
    pid: Annotated[int, Field(ge=0)] = 0
    machine: Annotated[str, Field(max_length=64)] | None = None
    started: Annotated[str, Field(max_length=32)] | None = None
    since: Annotated[str, Field(max_length=40)] = ""
    lease: Annotated[float, Field(gt=0, le=LONGEST_LEASE)] = LEASE_S
    beat: Annotated[int, Field(ge=0)] = 0
    entering: bool = False

    def __str__(self) -> str:
        return f"{_WORK[self.purpose]} (host {self.host}, process {self.pid}, since {self.since})"

    def to_json(self) -> bytes:
        left_out = None if self.entering else {"entering"}
        # ASCII with JSON's escapes, because a host name may contain any character.
        return json.dumps(self.model_dump(mode="json", exclude=left_out), separators=(",", ":")).encode("ascii")

    @classmethod
    def parse(cls, data: bytes, source: str) -> Holder:
        """Raises StorageError when `data` is not what `to_json` wrote."""
        try:
            return cls.model_validate_json(data)
        except ValidationError:
            raise StorageError(
                f"{source}: this claim is damaged.\nDelete it once no process is working on the pipeline"
            ) from None
