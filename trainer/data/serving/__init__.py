"""Serving: one exact order of examples, and the input pipelines that bring them to the step."""
