"""The progress of a job, on its way from the job's output to the terminal of whoever follows it.

`sender` writes messages between the lines of the output, and `receiver` understands them; `relayed` may be imported.
"""

import os

# Set for a job by `everlearn submit`.
VARIABLE, WANTED = "EVERLEARN_PROGRESS", "relay"


def relayed() -> bool:
    """Whether this process is a job whose progress is relayed."""
    return os.environ.get(VARIABLE) == WANTED
