"""What a person sees of a run: live progress, the accuracy matrix, the metrics."""
