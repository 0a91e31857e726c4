"""Datasets: each module's `load` gives one, as `dataset.py` defines it."""
