"""Starts training here or on Kubernetes. Imports nothing of the trainer."""
