"""Using a model: from tables, tensors and files to class names with their probabilities.

`predicting` gives the module of a commit its method `predict`, `predictions` makes classes, labels and values of its
outputs, `predict_file` reads a file in batches of rows, and `output_file` writes the predictions. `document_scores` and
`text_generation` are for language models. No training data is needed. Only `orchestrator.checkpointing`,
`orchestrator.cli`, `orchestrator.serving` and `orchestrator.tracking` import from here.
"""
