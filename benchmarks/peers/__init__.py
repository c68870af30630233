"""The same work in other frameworks; each file runs in an environment of its own."""
