"""The command line: one file for each command, and what they share in `support`.

`main` lists the commands and turns every failure into an exit status. Nothing heavy is imported before a command needs
it, so that `everlearn --help` answers at once. Other folders import none of the commands.
"""
