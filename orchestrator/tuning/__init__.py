"""Searching a pipeline's settings, and comparing pipelines, with Ray Tune: a trial is the whole stream."""
