"""Statistics of the gate: is a new model worse than the one in use, judged on the same samples? Pure functions on numpy
and scipy, which read nothing and store nothing; `orchestrator.updates` collects the evidence and acts on the verdict.
Only `orchestrator.cli`, `orchestrator.updates` and `pipelines.capabilities` import from here.
"""
