"""Pipeline files that `everlearn example` writes; `published` has the protocols of papers.

A module beside a file generates its data: it is written with the file that names it. No module imports them: a pipeline
file names them by import path.
"""
