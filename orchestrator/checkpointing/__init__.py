"""From a learner's state to stored bytes and back: commits, and checkpoints within an experience.

`snapshot` copies the state, `async_commit` writes commits during the next experience, `checkpoint` saves the state
within an experience, `restore` loads stored tensors into a learner, `evaluation_record` stores the results of an
evaluation, and `load_model` returns the model of a commit. Commits themselves are defined in `orchestrator.lineage`.
The folders that train, serve and maintain import these modules; `lineage` and `storage` do not.
"""
