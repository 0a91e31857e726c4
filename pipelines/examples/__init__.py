"""Pipeline files that `everlearn example` writes; `published` has the protocols of papers.

A module beside a file makes up its data: it is written with the file that names it.
"""
