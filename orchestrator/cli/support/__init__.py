"""What the commands share: options, output, error messages, finding a commit.

Only `orchestrator.cli` and `orchestrator.jobs.relay` import from here. Nothing heavy is imported before a command needs
it.
"""
