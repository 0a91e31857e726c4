"""The methods against forgetting: one file for each, with its paper.

A file has the options and the `Strategy` of one method, and is named after it. `strategies.registry` lists them;
nothing else imports them by name.
"""
