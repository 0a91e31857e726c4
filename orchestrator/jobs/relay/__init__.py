"""Sends the progress of a job through its output to the terminal that follows it.

`sender` writes messages between the lines of the output, and `receiver` reads them. Only `orchestrator.cli` and
`orchestrator.jobs` import from here.
"""

import os

# Set for a job by `everlearn submit`.
VARIABLE, WANTED = "EVERLEARN_PROGRESS", "relay"


def relayed() -> bool:
    """Whether this process is a job whose progress is relayed."""
    return os.environ.get(VARIABLE) == WANTED
