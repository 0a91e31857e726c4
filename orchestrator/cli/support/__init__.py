"""What the commands share: options, output, error messages, finding a commit.

Only files of `orchestrator.cli` import from here. Nothing heavy is imported before a command needs it.
"""
