"""From the columns of a table to the numbers that a model takes.

`feature_columns` says which columns are features and of which kind, `raw_columns` reads them, `encoders` turns each
kind into numbers, `preprocessing` is fitted on experience 0 alone and kept as plain data, `feature_reader` reads files
with it, and `column_layout` tells a model which of its inputs are codes of categories. Datasets, models and
`load_model` import these modules.
"""
