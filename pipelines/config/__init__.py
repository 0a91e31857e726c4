"""Reading a pipeline file: from YAML to a checked `Pipeline`, and every error with its line.

`load` reads a file, `document` remembers where each value was written, `schema` and `sections` say what is allowed,
`overrides` apply `--set`, `components` find strategies, datasets and models by name. Other rooms import `load`,
`schema`, `components` and `pipeline_errors`.
"""
