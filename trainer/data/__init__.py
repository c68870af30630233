"""Data: sources, one exact order, and the input pipelines that serve it."""
