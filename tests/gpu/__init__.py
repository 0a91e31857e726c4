"""`python -m tests.gpu`: what Everlearn does and costs on a GPU.

The tests that need a GPU, and measurements against bare CUDA loops. They need the repository and its Python
dependencies; what a machine lacks is named, and the rest runs.
"""
