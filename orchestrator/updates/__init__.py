"""Streams that never end: files that arrive are admitted and trained, and keep their place in the order.

`run_step` is one turn, safe to repeat and to start twice: list, admit, train. What is admitted, and why not, is decided
by the pure function `admission.decide` from a listing and the admission log. The log is part of the lineage: an
experience is what its record says, whatever lies in the folder later.

`gate` judges a commit against the champion, and `promotion` acts on the verdict; every step of both is a record, too
(`orchestrator.lineage.decisions`). The command line imports these modules; `maintenance`, `training` and `tuning`
import what reads admitted files.
"""
