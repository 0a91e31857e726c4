"""The sections of a pipeline file, one file each: stream, train, tune, cluster.

Each is a pydantic model whose fields are the keys of the file. `section` is their base. Other folders import the class
of the section that they read, from its own file.
"""
