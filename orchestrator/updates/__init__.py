"""Streams that never end: files that arrive are admitted, trained, and never moved into the past.

`run_step` is one turn, safe to repeat and to start twice: list, admit, train. What is admitted, and why not, is decided
by the pure function `admission.decide` from a listing and the admission log. The log is part of the lineage: an
experience is what its record says, whatever lies in the folder later.

`gate` judges a commit against the champion, and `promotion` acts on the verdict; every step of both is a record, too
(`orchestrator.lineage.decisions`).
"""
