"""What is learned and in which order: pipeline files, their schema, datasets, streams and models."""
