"""What a model could do before a stream, and whether it still can: sets of items that no experience trains on.

`read_capabilities` reads items from files, `score_capability` evaluates a learner on them, and `capability_verdicts`
says whether each capability was kept or lost. `orchestrator` imports these modules: it evaluates the models of commits,
and its lineage keeps the results.
"""
