"""Models: each file has one model, called as Model(input_shape, outputs, **options).

`build_model` makes a model with the same initial weights wherever it is built, and `global_batch_norm` keeps batch
normalisation independent of the number of workers. Adding a model takes one file here and one line in
`pipelines.config.components`. Other folders import `build_model` and the helpers of models; the models themselves are
imported by name, when a pipeline file names one.
"""
