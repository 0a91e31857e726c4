"""Using a model: from tables, tensors and files to class names with their probabilities.

`predicting` gives the module of a commit its method `predict`, `answers` says what outputs stand for, `predict_file`
goes through a file in batches of rows, and `output_file` writes what it finds. `document_scores` and `text_generation`
are for language models. No training data is needed.
"""
