"""From a learner's state to stored bytes and back: commits, and checkpoints within an experience.

`snapshot` takes the state, `async_commit` writes commits behind the next experience, `checkpoint` keeps the state
within one, `restore` puts stored tensors into a learner, `evaluation_record` holds what an evaluation found, and
`load_model` gives the model of a commit to a person. What a commit is and where it lies is
`orchestrator.lineage`'s.
"""
