"""What a model could do before a stream, and whether it still can: sets of items that no experience trains on.

`read_capabilities` makes items of files, `score_capability` asks a learner, `capability_verdicts` says whether what it
could was kept or lost.
"""
