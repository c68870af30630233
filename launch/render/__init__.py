"""A JobSpec as Kubernetes documents; pure functions."""
