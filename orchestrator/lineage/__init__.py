"""The chain of commits: what was learned, from what, and what is remembered of it."""
